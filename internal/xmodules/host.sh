# X loads NVIDIA's GLX module by the name libglxserver_nvidia.so, and the AMI's
# packages install it under this name alone. NVIDIA's container toolkit mounts it
# into containers only under its versioned name, libglxserver_nvidia.so.VERSION, and
# takes the version from libcuda.so.VERSION. So the file gets this name too.
for cuda in "$HOST_ROOT"/usr/lib{64,/x86_64-linux-gnu}/libcuda.so.*.*; do
    version=${cuda##*/libcuda.so.}
    for module in "$HOST_ROOT"/usr/lib{64,/x86_64-linux-gnu,}/{nvidia/xorg,xorg/modules/extensions}/libglxserver_nvidia.so; do
        if [ -f "$cuda" ] && [ -f "$module" ] && [ ! -e "$module.$version" ]; then
            ln -L "$module" "$module.$version"
        fi
    done
done
