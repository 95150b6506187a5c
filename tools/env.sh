# The environment of a checkout, for bash: `. tools/env.sh`, then `pytest test/model`, `vljepa demo`, `python -m vljepa_training.train ...`.
# `make` runs everything in it. Python comes from the checkout as it stands; the install space gives the generated vljepa_ros.msg only
# (vljepa_ros/__init__.py finds it through extend_path). Run `make setup` first.

_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
_column=""; [ "${ROS_WHEELS:-jazzy}" = jazzy ] || _column="-$ROS_WHEELS"
_venv=$_root/.venv$_column
_install=$_root/install$_column

_prepend() { # NAME FOLDER: put a folder that exists first in a path variable, once
    if [ -d "$2" ] && [[ ":${!1-}:" != *":$2:"* ]]; then export "$1=$2${!1:+:${!1}}"; fi
}

# One copy of the package on the path: extend_path would fill what is missing here from another checkout or workspace, in silence.
IFS=: read -ra _entries <<< "${PYTHONPATH-}"
PYTHONPATH=""
for _folder in "${_entries[@]}"; do
    [ -d "$_folder/vljepa_ros" ] || [ -d "$_folder/vljepa_training" ] || PYTHONPATH+="${PYTHONPATH:+:}$_folder"
done

_prepend PATH "$_venv/bin"
_prepend PATH "$_root/scripts"
for _folder in "$_install"/lib/python3*/site-packages "$_install"/local/lib/python3*/dist-packages "$_root/training" "$_root"; do
    _prepend PYTHONPATH "$_folder"
done
if [ -d "$_venv/share/rclpy" ]; then # ROS 2 from wheels; a sourced ROS 2 has set these itself
    _prepend AMENT_PREFIX_PATH "$_venv"
    for _folder in "$_venv"/lib/python3*/site-packages/ros_*.libs "$_venv/lib"; do _prepend LD_LIBRARY_PATH "$_folder"; done
fi
_prepend AMENT_PREFIX_PATH "$_install"
_prepend LD_LIBRARY_PATH "$_install/lib" # typesupport libraries are opened by name
export VIRTUAL_ENV=$_venv
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE # left by another environment's Python, it would keep rclpy from importing here

# Everything on this machine, nothing beyond it; and shared-memory segments large enough for images. What is set already stays.
export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
if [ -z "${FASTDDS_DEFAULT_PROFILES_FILE-}" ] && [ -f "$_root/config/fastdds_shm32m.xml" ]; then
    export FASTDDS_DEFAULT_PROFILES_FILE=$_root/config/fastdds_shm32m.xml
fi
if [ -z "${FASTRTPS_DEFAULT_PROFILES_FILE-}" ] && [ -n "${FASTDDS_DEFAULT_PROFILES_FILE-}" ]; then
    export FASTRTPS_DEFAULT_PROFILES_FILE=$FASTDDS_DEFAULT_PROFILES_FILE # the name that Jazzy reads
fi

unset -f _prepend
unset _root _column _venv _install _folder _entries
