# What the host is. Variables: minor (the Python that is wanted, as 3.11), python (an interpreter, or an environment's
# folder, that was named; or empty).
exec </dev/null

# Its own Python code, since Python's options differ from what a shell can quote: without -I, a file in the home folder
# could take the place of a module.
ask='import os, sys, sysconfig
v = sys.version_info
print("python", v[0], v[1], v[2], sys.implementation.name, int(sys.base_prefix != sys.prefix),
      int(bool(sysconfig.get_config_var("Py_GIL_DISABLED"))), sys.argv[1], os.path.realpath(sys.executable), sep="|")'

# What an environment has, and whose files are gone: those of a name are looked for where their folder is listed, since
# to ask for each of ten thousand takes long on a network.
list='import importlib.metadata, os
listed = {}
def there(path):
    folder, name = os.path.split(path)
    if folder not in listed:
        listed[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
    return name in listed[folder]
for each in importlib.metadata.distributions():
    print("has", each.metadata["Name"], each.version)
    names = [line.rsplit(",", 2)[0] for line in (each.read_text("RECORD") or "").splitlines() if line[:1] not in ("", "\"")]
    place = str(each.locate_file(""))
    gone = sum(not there(os.path.normpath(os.path.join(place, name))) for name in names)
    if gone:
        print("gone", each.metadata["Name"], gone)'

try() { # origin, interpreter
    command -v "$2" >/dev/null 2>&1 || return 1
    answer=$("$2" -I -c "$ask" "$1" 2>/dev/null) || return 1
    say "$answer"
    case $answer in
    "python|${minor%.*}|${minor#*.}|"*"|cpython|"*"|0|"*) return 0 ;;
    esac
    return 1
}

libc() {
    if version=$(getconf GNU_LIBC_VERSION 2>/dev/null); then
        say "libc $version"
        return
    fi
    for loader in /lib/ld-musl-*.so.1 /usr/lib/ld-musl-*.so.1; do
        [ -e "$loader" ] || continue
        say "libc musl $("$loader" 2>&1 | sed -n 's/^Version //p')"
        return
    done
    say "libc glibc $(ldd --version 2>/dev/null | sed -n '1s/.* //p')"
}

space() {
    place=$folder
    while [ ! -e "$place" ]; do
        place=$(dirname "$place")
    done
    if [ -w "$place" ]; then
        say "writable yes"
    else
        say "writable no"
    fi
    say "free $(df -Pk "$place" 2>/dev/null | awk 'NR == 2 { print $4 }')"
}

modules() { # the interpreters that the module system knows, by the file that defines `module`, and no start-up file
    for file in "${LMOD_PKG:-/usr/share/lmod/lmod}/init/sh" "${MODULESHOME:-/usr/share/modules}/init/sh" \
        /etc/profile.d/lmod.sh /etc/profile.d/modules.sh /opt/apps/lmod/lmod/init/sh; do
        [ -r "$file" ] || continue
        (
            . "$file" >/dev/null 2>&1
            module -t avail 2>&1 | sed -n "s/(.*//; /^[Pp]ython[0-9]*\/${minor%.*}\.${minor#*.}\([.-].*\)*$/p" | while read -r name; do
                (module load "$name" && command -v "python$minor") 2>/dev/null </dev/null
            done
        ) | while read -r found; do
            # Without its module: an environment that is made from it must run in every shell.
            (unset LD_LIBRARY_PATH; try "the module system" "$found") && break
        done
        return
    done
}

say "machine $(uname -m)"
say "system $(uname -s)"
say "hostname $(uname -n)"
say "home $HOME"
say "folder $folder"
libc
space
for tool in sha256sum dd gzip tar awk sed; do
    command -v "$tool" >/dev/null 2>&1 || say "lacks $tool"
done

now=$(readlink "$folder/environment")
case $now in
environments/$hex16_8)
    say "environment $now"
    if [ -r "$folder/environment/simmate-remote.list" ]; then
        sed 's/^/made /' "$folder/environment/simmate-remote.list"
    fi
    "$folder/environment/bin/python" -I -c "$list" 2>/dev/null || say "environment-broken yes"
    ;;
*)
    if [ -e "$folder/environment" ] || [ -L "$folder/environment" ]; then
        say "environment-foreign yes"
    fi
    ;;
esac
for file in "$folder"/bin/uv-*; do
    [ -x "$file" ] && "$file" --version >/dev/null 2>&1 && say "uv ${file##*/uv-}"
done

found=no
if [ -n "$python" ]; then
    case $python in
    "~/"*) python=$HOME/${python#??} ;;
    esac
    [ -d "$python" ] && python=$python/bin/python
    try "named" "$python" && found=yes
else
    for each in "$folder"/pythons/*/bin/python"$minor"; do
        [ $found = no ] && try "an earlier setup" "$each" && found=yes
    done
    [ $found = no ] && try "PATH" "python$minor" && found=yes
    for each in python3 python /usr/bin/python3 "${CONDA_PREFIX:-/nonexistent}/bin/python" \
        "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}"/cpython-"$minor"*/bin/python"$minor" \
        "$HOME"/.pyenv/versions/"$minor"*/bin/python; do
        [ $found = no ] && try "$each" "$each" && found=yes
    done
    [ $found = no ] && modules
fi
say "end yes"
