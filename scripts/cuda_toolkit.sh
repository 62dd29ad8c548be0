#!/usr/bin/env bash
# Prints the path of the CUDA toolkit, a folder with bin/nvcc, include and lib64. Installs the
# compiler from PyPI if there is none.
#
#   ./scripts/cuda_toolkit.sh [--nvdisasm]
#
# nvcc must have exactly the version in scripts/requirements-cuda.txt, since the register counts in
# kernels/cuda/resources/ are specific to it. It is searched for in CUDA_HOME, PATH and
# /usr/local/cuda; otherwise NVIDIA's packages are installed into build/cuda-toolkit. This is all
# that is needed to compile and link the kernels: no driver, and no library except the runtime.
#
# --nvdisasm   prints the path of the disassembler: the toolkit's own, or PyPI's in build/nvdisasm
#
# CUDA_HOME    environment: path of the toolkit, if it is not found otherwise.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
exec 3>&1 1>&2 # only the path goes to stdout

requirements=scripts/requirements-cuda.txt
version=$(sed -n 's/^nvidia-cuda-nvcc==//p' $requirements)

has_nvcc() {
  [ -f "$1/include/cuda_runtime_api.h" ] &&
    "$1/bin/nvcc" --version 2>/dev/null | grep -q "V${version//./\\.}\$"
}

# The nvcc in PATH may be a link or a script, so it is asked where its toolkit is.
find_installed() {
  local in_path
  in_path=$(nvcc --dryrun -c -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
  for toolkit in "$(readlink -m "$in_path")" "/usr/local/cuda-${version%.*}" /usr/local/cuda; do
    ! has_nvcc "$toolkit" || return 0
  done
  return 1
}

# PyPI's packages are a toolkit except for a few names that nvcc and CMake look for.
install_toolkit() {
  local place=$root/build/cuda-toolkit
  toolkit=$place/toolkit
  install_packages cuda
  python_packages "CUDA $version from PyPI" "$place" $requirements
  has_nvcc "$toolkit" || lay_out "$place"
  has_nvcc "$toolkit" || die "the packages from PyPI in $place do not contain nvcc $version"
}
lay_out() {
  local packages=("$1"/lib/python3*/site-packages/nvidia/cu"${version%%.*}")
  ln -sfn lib "${packages[0]}/lib64"
  ln -sf "libcudart.so.${version%%.*}" "${packages[0]}/lib/libcudart.so"
  ln -sfn "${packages[0]#"$1"/}" "$toolkit"
}

find_nvdisasm() {
  local place=$root/build/nvdisasm found
  if [ ! -x "$toolkit/bin/nvdisasm" ]; then
    install_packages cuda
    python_packages "nvdisasm from PyPI" "$place" scripts/requirements-nvdisasm.txt
    found=("$place"/lib/python3*/site-packages/nvidia/cu"${version%%.*}"/bin/nvdisasm)
  fi
  nvdisasm=${found[0]:-$toolkit/bin/nvdisasm}
}

if [ -n "${CUDA_HOME:-}" ] && has_nvcc "$CUDA_HOME"; then
  toolkit=$CUDA_HOME
else
  [ -z "${CUDA_HOME:-}" ] ||
    say "CUDA_HOME is $CUDA_HOME, which has no nvcc $version, so it is not used"
  find_installed || install_toolkit
fi
case ${1:-} in
  "") echo "$toolkit" >&3 ;;
  --nvdisasm) find_nvdisasm && echo "$nvdisasm" >&3 ;;
  *) die "unknown option $1; usage: scripts/$script [--nvdisasm]" ;;
esac
