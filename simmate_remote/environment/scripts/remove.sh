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
failed=no
take() { # a folder of ours, and what setup has put into it
    place=$1
    shift
    { [ -d "$place" ] && [ ! -L "$place" ]; } || return 0
    taken=no
    for each; do
        [ -e "$each" ] || [ -L "$each" ] || continue
        if rm -rf "$each"; then taken=yes; else failed=yes; fi
    done
    rmdir "$place" 2>/dev/null && taken=yes
    [ $taken = no ] || say "removed $place"
}
for each in environment environment.[0-9]*; do
    case $(readlink "$each") in
    environments/$hex16_8)
        if rm -f "$each"; then say "removed $each"; else failed=yes; fi
        ;;
    esac
done
take environments environments/$hex16_8
take building building/$hex16_8
take wheels wheels/$hex16
take bin bin/uv-[0-9]*
take pythons pythons/cpython-* pythons/.arriving-* pythons/.cache pythons/.lock pythons/.temp pythons/.gitignore
[ $failed = no ] || exit 1
cd / && rmdir "$folder" 2>/dev/null
say "end yes"
