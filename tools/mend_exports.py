# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point the CMake exports of the `ros-*` wheels at the Python that runs this. Run it inside the environment, after every install.

The wheels of message packages tell CMake to include the Python and numpy headers of the machine that built them, below
/opt/python, and CMake refuses to generate with include folders that do not exist. Running it twice changes nothing.
"""
from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

MEND = Path(__file__).resolve()
EXPORTS = "share/*/cmake/export_*__rosidl_generator_pyExport.cmake"
BUILDER = r"/opt/python/cp[^/;\"]+"
NUMPY_HEADERS = re.compile(BUILDER + r"/lib/[^;\"]*?/numpy/_?core/include")
PYTHON_HEADERS = re.compile(BUILDER + r"/include/python[^/;\"]+")


def mend(text: str, python_headers: str, numpy_headers: str) -> str:
    """The export file's text with both include folders replaced; text without them comes back as it is."""
    return PYTHON_HEADERS.sub(lambda _: python_headers, NUMPY_HEADERS.sub(lambda _: numpy_headers, text))


def main() -> None:
    import numpy

    python_headers = sysconfig.get_config_var("INCLUDEPY")  # the base interpreter's: a virtual environment has no Python.h
    for export in Path(sys.prefix).glob(EXPORTS):
        text = export.read_text()
        mended = mend(text, python_headers, numpy.get_include())
        if mended != text:
            export.write_text(mended)


if __name__ == "__main__":
    main()
