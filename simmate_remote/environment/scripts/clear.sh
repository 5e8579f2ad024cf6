# Keep of what was sent only what the environment in place is made of; its wheels make the next setup short.
cd "$folder" 2>/dev/null || exit 0
for wheel in wheels/*; do
    grep -qsF "${wheel#wheels/}" environment/simmate-remote.list || rm -rf "$wheel"
done
rm -f pythons/*.part bin/*.part bin/*.arriving
[ -L environment ] || rm -rf bin wheels
exit 0
