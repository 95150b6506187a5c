# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers for plots, one std_msgs/Float32 topic each.

Every plotter takes `topic/data` of that type without being told anything, and a topic's name is the curve's name; of an array,
only the place would be left. Float32 has no stamp: curves lie at the time of their arrival, as rqt_plot would put them anyway.
"""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rclpy.lifecycle import LifecyclePublisher
from std_msgs.msg import Float32

from vljepa_ros.nodes import qos
from vljepa_ros.nodes.conversions import number_to_message
from vljepa_ros.nodes.topics import Outputs

LONGEST = 48  # letters of a topic's last part


class Scalars:
    """Publishers by name. A number that nobody listens to costs one question to the middleware."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._publishers: dict[str, LifecyclePublisher] = {}

    def set(self, names: Sequence[str], active: bool) -> None:
        """Have these topics below the node's name, and no others. `active`: the node is, so that new ones may speak at once."""
        for name in [name for name in self._publishers if name not in names]:
            self._outputs.remove(self._publishers.pop(name))
        for name in names:
            if name not in self._publishers:
                self._publishers[name] = self._outputs.add(Float32, f"~/{name}", qos.RESULTS)
                if active:
                    self._publishers[name].on_activate(None)

    def heard(self, name: str) -> bool:
        """Somebody listens to it."""
        return name in self._publishers and self._publishers[name].get_subscription_count() > 0

    def tell(self, name: str, number: float) -> None:
        if self.heard(name):
            self._publishers[name].publish(number_to_message(number))


def slugs(texts: Sequence[str]) -> list[str]:
    """A topic name's last part for each text: what is left of it in small Latin letters, digits and single underscores.

    Of texts that leave nothing, or the same, the place in the list tells.
    """
    out: list[str] = []
    for place, text in enumerate(texts):
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:LONGEST].strip("_")
        if not slug or slug[0].isdigit():  # a name must not begin with a digit
            slug = f"text_{slug}".strip("_")
        while slug in out or slug == "text":
            slug = f"{slug}_{place}"
        out.append(slug)
    return out
