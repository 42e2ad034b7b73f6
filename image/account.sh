#!/bin/sh
# Makes the account of a person, where it is not there: the gateway has it run at
# the person's first login to a host with accounts: per-person. Its uid follows
# from the name, or from the owner of the home that is there already, so that it is
# the same when the host is recreated, and almost always the same on every host.
set -eu

name=$1
case $name in
    '' | -* | *[!A-Za-z0-9_.-]*)
        echo "this is no name of an account" >&2
        exit 1
        ;;
esac
id -u "$name" >/dev/null 2>&1 && exit 0

least=20000 number=40000
home=/home/$name
if [ -d "$home" ]; then
    uid=$(stat -c %u "$home")
    [ "$uid" -ge "$least" ] && [ "$uid" -lt $((least + number)) ] || { echo "$home is another account's" >&2; exit 1; }
else
    hash=$(printf %s "$name" | sha256sum | cut -c 1-7)
    uid=$((least + 0x$hash % number))
    while getent passwd "$uid" >/dev/null || stat -c %u /home/* | grep -qx "$uid"; do
        uid=$((uid + 1))
    done
fi
# The group is that of the project's work. The password fits nothing, but does not
# lock the account, which sshd would refuse.
[ -d "$home" ] && create=--no-create-home || create=--create-home
useradd "$create" --home-dir "$home" --uid "$uid" --gid developer --groups sudo --shell /bin/zsh --password '*' "$name" \
    || id -u "$name" >/dev/null # by another first login at the same time
/usr/local/lib/berth/peers.sh "$name"
