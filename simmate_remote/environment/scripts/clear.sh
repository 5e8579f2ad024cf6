# Keep of what was sent only what the environment in place is made of; its wheels make the next setup short. Variables:
# all (yes: what another setup may be sending just now, too; there is no room).
cd "$folder" 2>/dev/null || exit 0
unused() { [ "$all" = yes ] || [ -n "$(find "$1" -prune -mmin +60 2>/dev/null)" ]; }
for wheel in wheels/$hex16; do
    grep -qsF "${wheel#wheels/}" environment/simmate-remote.list || ! unused "$wheel" || rm -rf "$wheel"
done
for left in pythons/cpython-*.tar.gz.* bin/uv-*.gz.*; do
    ! unused "$left" || rm -f "$left"
done
if [ "$all" = yes ] && [ ! -L environment ]; then
    rm -rf bin/uv-[0-9]* wheels/$hex16
    rmdir bin wheels 2>/dev/null
fi
exit 0
