# Keep of what was sent only what the environment in place is made of; its wheels make the next setup short.
cd "$folder" 2>/dev/null || exit 0
for wheel in wheels/$hex16; do
    grep -qsF "${wheel#wheels/}" environment/simmate-remote.list || rm -rf "$wheel"
done
rm -f pythons/cpython-*.part bin/uv-*.part bin/uv-*.arriving
if [ ! -L environment ]; then
    rm -rf bin/uv-[0-9]* wheels/$hex16
    rmdir bin wheels 2>/dev/null
fi
exit 0
