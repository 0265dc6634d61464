"""What runs on the other machine when it is given the package; each script in any POSIX shell.

Beside the link that says which venv counts lies a store of venvs, one for each set of wheels:

    LINK                    -> LINK.versions/HASH
    LINK.versions/HASH/     a venv; `.whole` is in it when it answered, `.extras` says its extras
    LINK.versions/first/    the venv that was there instead of the link, before the first time
    LINK.versions/.before   where the link led before it was turned the last time

A venv that is already there becomes `first` by exchanging it with the link in one step, where the
system can, so that a cut leaves one or the other. Where it cannot there is a moment with neither;
the next run puts back what was there before it does anything else.
"""

# Which extras of the package a venv has: those of which every requirement is installed.
_EXTRAS = r"""
import importlib.metadata as m, re
plain = lambda name: re.sub(r"[-_.]+", "-", name).lower()
have = {plain(one.metadata["Name"] or "") for one in m.distributions()}
needs = {}
for line in m.requires("edgewright") or ():
    extra = re.search(r"extra\s*==\s*[\"\x27]([A-Za-z0-9._-]+)", line)
    if extra:
        needs.setdefault(plain(extra[1]), set()).add(plain(re.match(r"[A-Za-z0-9._-]+", line)[0]))
print(",".join(sorted(e for e, n in needs.items() if n <= have and "edgewright" not in n)))
"""

# Exchanges two names in one step: renameat2 with RENAME_EXCHANGE.
_EXCHANGE = """
import ctypes, os, sys
a, b = map(os.fsencode, sys.argv[1:3])
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(1 if libc.renameat2(-100, a, -100, b, 2) else 0)
"""

# $1: the program that is there and $2: the venv, empty when unknown. A venv that lies on the PATH
# is taken over only where this package put it: another one is somebody's, with other things in it.
LOOK = f"""
program=$1 venv=$2
case $program in
*" "*) program="" ;;
esac
found=${{program%/bin/*}}
if [ -z "$venv" ] && [ -n "$program" ] && [ -L "$found" ] && [ -e "$found/.whole" ]; then
  venv=$found
fi
if [ -z "$venv" ]; then
  if [ "$(id -u)" = 0 ]; then venv=/opt/edgewright; else venv=$HOME/.local/share/edgewright/venv; fi
fi
place=$(dirname "$venv")
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
echo "venv=$venv"
if [ -n "$program" ] && [ -e "$found/pyvenv.cfg" ] && [ "$found" != "$venv" ]; then
  echo "other=$found"
fi
if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
  echo taken=yes
fi
if [ -x "$venv/bin/edgewright" ]; then
  echo "has=$("$venv/bin/edgewright" --version 2>/dev/null | tail -n 1)"
  if [ -e "$venv/.extras" ]; then
    echo "extras=$(cat "$venv/.extras")"
  else
    echo "extras=$("$venv/bin/python" -c '{_EXTRAS}' 2>/dev/null)"
  fi
fi
echo "arch=$(uname -m)"
echo "glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/.* //')"
if [ -w "$place" ]; then echo writable=yes; fi
echo "disk_kb=$(df -Pk "$place" | sed -n '2s/.* \\([0-9][0-9]*\\)  *[0-9]*% .*/\\1/p')"
for one in python3 python3.14 python3.13 python3.12 python3.11; do
  if "$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "python=$(command -v "$one")"
    "$one" -c 'import sys; print("version=%d.%d" % sys.version_info[:2])'
    if "$one" -c 'import ensurepip, venv' 2>/dev/null; then echo has_venv=yes; fi
    break
  fi
done
"""

# $1: the link, $2: the set of wheels by its hash, $3: the Python, $4: the package with its extras
# and version, $5: the extras alone; the wheels come as a tar. What counted before is said last.
INSTALL = f"""
set -eu
link=$1 new=$1.versions/$2 python=$3 wanted=$4 extras=$5 store=$1.versions
mkdir -p "$store"
if [ -d "$link.new" ] && [ ! -L "$link.new" ]; then
  rm -rf "$store/first"
  mv "$link.new" "$store/first"
fi
if [ ! -e "$link" ] && [ ! -L "$link" ] && [ -d "$store/first" ]; then
  mv "$store/first" "$link"
fi
if [ ! -e "$new/.whole" ]; then
  rm -rf "$new" "$store/wheels"
  mkdir "$store/wheels"
  tar -x -f - -C "$store/wheels"
  "$python" -m venv "$new" >&2
  "$new/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir install \\
    --no-index --find-links "$store/wheels" "$wanted" >&2
  rm -rf "$store/wheels"
  "$new/bin/edgewright" doctor --json >/dev/null
  printf '%s' "$extras" >"$new/.extras"
  : >"$new/.whole"
  sync
else
  cat >/dev/null
fi
before=$(readlink "$link" || true)
if [ "$before" = "$new" ]; then
  before=$(cat "$store/.before" 2>/dev/null || true)
else
  if [ -e "$link" ] && [ ! -L "$link" ]; then
    rmdir "$link" 2>/dev/null || before=$store/first
  fi
  printf '%s' "$before" >"$store/.before"
  ln -s -f -n "$new" "$link.new"
  if [ "$before" = "$store/first" ] && [ ! -L "$link" ]; then
    rm -rf "$store/first"
    if "$python" -c '{_EXCHANGE}' "$link.new" "$link" 2>/dev/null; then
      mv "$link.new" "$store/first"
    else
      mv "$link" "$store/first"
      mv -T "$link.new" "$link"
    fi
  else
    mv -T "$link.new" "$link"
  fi
fi
if [ ! -e "$before" ]; then before=; fi
if [ "$(id -u)" != 0 ] && [ ! -e "$HOME/.local/bin/edgewright" ]; then
  mkdir -p "$HOME/.local/bin"
  ln -s -f "$link/bin/edgewright" "$HOME/.local/bin/edgewright"
fi
echo "before=$before"
"""

# $1: the link, $2: what it was.
RETURN = 'if [ -n "$2" ]; then ln -s -f -n "$2" "$1.new" && mv -T "$1.new" "$1"; else rm "$1"; fi'

# $1: the link, $2: what it was, which stays beside what it is.
TIDY = """
now=$(readlink "$1")
for old in "$1.versions"/*; do
  if [ "$old" != "$now" ] && [ "$old" != "$2" ]; then rm -rf "$old"; fi
done
"""

# The unit that `device prepare` writes; elsewhere whoever started the agent starts it anew.
RESTART = """
unit=edgewright-agent.service
systemctl is-active --quiet "$unit" 2>/dev/null || exit 3
if [ "$(id -u)" = 0 ]; then systemctl restart "$unit"; else sudo -n systemctl restart "$unit"; fi
"""
NO_UNIT = 3
