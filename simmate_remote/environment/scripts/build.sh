# Make an environment beside the one that is there, try it, and put it in that one's place at once. Variables: name (its
# folder, below environments), python (the interpreter to make it from), made_for (the `python:` that the inventory
# names), uv (its version), smoke (what it must be able to do). Reads lines "sha256 path requirement", one for each wheel.
cd "$folder" && folder=$(pwd -P) || exit
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX
# What a start-up file has set for uv would make another environment: UV_VENV_SEED, UV_CONSTRAINT, UV_NO_BINARY, …
for each in $(env | sed -n 's/^\(UV_[A-Z0-9_]*\)=.*/\1/p'); do
    unset "$each"
done
host=$(uname -n)

# What programs say when they fail; not in a file, since on a full disk they would find no room, and uv dies of that.
said=

fail() { # what failed
    say "failed $1"
    # The words of the kernel, and of those who repeat them: ENOSPC and EDQUOT.
    if printf '%s' "$said" | grep -qiE 'no space left|quota exceeded|os error (28|122)' ||
        ! dd if=/dev/zero of="$work/room" bs=65536 count=4 2>/dev/null; then
        say "full yes"
    fi
    printf '%s\n' "$said" | sed 's/^/said /'
    exit 1
}

used() { # whether something runs from this environment: here, or on a machine that shares this folder
    [ -z "$(find keepers -name '*.json' ! -name "$host.json" -mmin -6 2>/dev/null)" ] || return 0
    grep -qsF "$folder/$1/" /proc/[0-9]*/cmdline /proc/[0-9]*/maps
}

# What earlier builds left that were interrupted.
for left in building/$hex16_8; do
    [ -d "$left" ] || continue
    builder= pid=
    [ -f "$left/by" ] && read -r builder pid <"$left/by"
    if [ "$builder" = "$host" ]; then
        kill -0 "$pid" 2>/dev/null && continue
    elif [ -z "$(find "$left" -prune -mmin +1440)" ]; then
        continue
    fi
    [ -f "environments/${left#*/}/simmate-remote.list" ] || rm -rf "environments/${left#*/}"
    rm -rf "$left"
done
# The environment that is in place stays, although it is about to be replaced: somebody may just be starting from it.
current=$(readlink environment 2>/dev/null)
for old in environments/$hex16_8; do
    # At last by the link as it is then: another setup may have put its own in place meanwhile.
    if [ -d "$old" ] && [ "$old" != "$current" ] && [ ! -e "building/${old#*/}" ] && ! used "$old" &&
        [ "$old" != "$(readlink environment 2>/dev/null)" ]; then
        rm -rf "$old"
    fi
done

new=environments/$name
work=$folder/building/$name
mkdir -p environments bin "$work/wheels" || exit
echo "$host $$" >"$work/by" || fail "writing to the disk"
trap '[ -f "$new/simmate-remote.list" ] || rm -rf "$new"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

tool() { # uv, with nothing of what this account may have configured for it
    said=$(
        UV_NO_CONFIG=1 UV_OFFLINE=1 UV_CACHE_DIR="$work/cache" \
            UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 "bin/uv-$uv" --quiet "$@" </dev/null 2>&1
    )
}

while read -r sha256 path requirement; do
    ln "$path" "$work/wheels/" 2>/dev/null || said=$(cp "$path" "$work/wheels/" 2>&1) || fail "reading $path"
    echo "$requirement" >>"$work/requirements"
    echo "$sha256 $requirement" >>"$work/list" || fail "writing to the disk"
done

tool venv --python "$python" "$new" || fail "making an environment from $python"
tool pip install --python "$new/bin/python" --no-index --find-links "$work/wheels" --no-deps \
    --requirement "$work/requirements" || fail "installing the wheels"
said=$(cd / && "$folder/$new/bin/python" -I -c "$smoke" </dev/null 2>&1) || fail "trying the new environment: $smoke"
if [ -n "$made_for" ]; then
    printf '%s\n' "$made_for" >"$new/simmate-remote.python" || fail "writing to the disk"
fi
mv "$work/list" "$new/simmate-remote.list" || fail "writing to the disk"

said=$("$new/bin/python" -I -c 'import os, sys
name, arriving = sys.argv[1], "environment." + str(os.getpid())
os.symlink(name, arriving)
try:
    os.replace(arriving, "environment")
except BaseException:
    os.unlink(arriving)
    raise' "$new" 2>&1) || { rm -f "$new/simmate-remote.list"; fail "putting it in the place of the old one"; }

say "built $new"
