# Take away what setup put here. Says which process still runs from it, or which machine has a keeper in this folder, and
# then takes away nothing.
cd "$folder" 2>/dev/null && folder=$(pwd -P) || { say "end yes"; exit 0; }
host=$(uname -n)
for file in /proc/[0-9]*/cmdline; do
    process=${file%/cmdline}
    if grep -qsF -e "$folder/environments/" -e "$folder/pythons/" "$process/cmdline" "$process/maps"; then
        say "used ${process#/proc/} $(tr '\0' ' ' <"$file" 2>/dev/null | cut -c 1-200)"
        used=yes
    fi
done
find keepers -name '*.json' ! -name "$host.json" -mmin -6 2>/dev/null | {
    others=no
    while read -r record; do
        record=${record##*/}
        say "elsewhere ${record%.json}"
        others=yes
    done
    [ $others = no ]
} || used=yes
[ "${used:-no}" = no ] || exit 0
for each in environment environments building wheels bin pythons; do
    if [ -L "$each" ]; then
        rm -f "$each" && say "removed $each"
    elif [ -d "$each" ] && [ "$each" != environment ]; then
        rm -rf "$each" && say "removed $each"
    fi
done
cd / && rmdir "$folder" 2>/dev/null
say "end yes"
