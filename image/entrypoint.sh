#!/bin/sh
# Starts the sshd of a Berth host. What is made here is made once per container.
set -eu

if [ -z "${BERTH_USER_CA:-}" ]; then
    echo "BERTH_USER_CA is not set: it is the public half of the gateway's user CA, and without it nobody could log in" >&2
    exit 1
fi
# Where the gateway has another CA by now, it has written here which ones to trust.
if [ "$(head -n 1 /etc/ssh/berth_user_cas 2>/dev/null)" = "# instead of $BERTH_USER_CA" ]; then
    cp /etc/ssh/berth_user_cas /etc/ssh/berth_user_ca.pub
else
    printf '%s\n' "$BERTH_USER_CA" > /etc/ssh/berth_user_ca.pub
fi

# At the first start only, so that what passwd changes survives a restart. An
# account without a password is locked, and sshd refuses a locked account.
set_password() { # account, password or nothing for a random one
    printf '%s:%s\n' "$1" "${2:-$(head -c 24 /dev/urandom | base64)}" | chpasswd
}
if [ ! -e /etc/ssh/berth_passwords_set ]; then
    set_password root "${ROOT_PASSWORD:-}"
    set_password developer "${DEVELOPER_PASSWORD:-}"
    : > /etc/ssh/berth_passwords_set
fi

# Whether developer, and who is of its group, may become root: without a password, which it needs none of
# to log in; with the one that DEVELOPER_PASSWORD set; or not at all.
rm -f /etc/sudoers.d/berth
case ${BERTH_SUDO:-free} in
    free) printf '%s\n' '%developer ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/berth ;;
    none) printf '%s\n' '%developer ALL=(ALL:ALL) !ALL' > /etc/sudoers.d/berth ;;
    password) ;;
    *)
        echo "BERTH_SUDO is free, password or none" >&2
        exit 1
        ;;
esac
[ ! -e /etc/sudoers.d/berth ] || chmod 0440 /etc/sudoers.d/berth

# Where each person has an account, what one writes is for the group, by sftp too. The
# file is read by keys.sh and by the gateway's helper.
sftp=internal-sftp
if [ "${BERTH_ACCOUNTS:-}" = per-person ]; then
    : > /etc/berth_accounts
    sftp='internal-sftp -u 002'
fi
echo "Subsystem sftp $sftp" > /etc/ssh/berth_sftp

# A volume that is new is root's, and nobody could write in it.
(
    IFS=:
    set -f
    for dir in ${BERTH_SHARED:-}; do
        if [ "$(stat -c %u:%g:%a "$dir")" = 0:0:755 ] && [ -z "$(ls -A "$dir")" ]; then
            chgrp developer "$dir" && chmod 2775 "$dir"
        fi
    done
)

# Host keys outlive the container in a volume, so that a host that is recreated
# is the same host. By renaming, so that none is ever there by half.
keys=/var/lib/berth/host_keys
mkdir -p -m 0700 "$keys"
for key in "$keys"/ssh_host_*; do
    [ ! -e "$key" ] || cp -p "$key" /etc/ssh/
done
ssh-keygen -A >/dev/null
for key in /etc/ssh/ssh_host_*; do
    cp -p "$key" "$keys/.new" && mv "$keys/.new" "$keys/${key##*/}"
done

# A host without its peers is a host.
if ! /usr/local/lib/berth/peers.sh; then
    : > /etc/ssh/berth_peers
    echo "other hosts of the project cannot be reached by ssh from here: see the lines above" >&2
fi

# sshd starts every session with an empty environment, and without the image's
# there is no nvcc and no LD_LIBRARY_PATH. One line, for sshd reads only the
# first SetEnv; a value that its syntax cannot hold is left out.
awk 'BEGIN {
    for (name in ENVIRON) {
        if (name !~ /^[A-Za-z_][A-Za-z0-9_]*$/ || ENVIRON[name] ~ /[\n\r"\\]/) continue
        if (name ~ /PASSWORD|^BERTH_|^SSH_/) continue
        if (name ~ /^(HOME|HOSTNAME|LOGNAME|MAIL|OLDPWD|PWD|SHELL|SHLVL|TERM|USER|_)$/) continue
        line = line " \"" name "=" ENVIRON[name] "\""
    }
    if (line != "") print "SetEnv" line
}' > /etc/ssh/berth_environment

# /etc/profile of Debian sets PATH anew in a login shell.
case $PATH in
    *\'*) ;;
    *) printf "export PATH='%s'\n" "$PATH" > /etc/profile.d/berth.sh ;;
esac

# The libraries are for the person's programs; sshd itself runs on the system's.
unset ROOT_PASSWORD DEVELOPER_PASSWORD LD_LIBRARY_PATH LD_PRELOAD

# Newer engines give 1024 open files at first, few for a data loader.
ulimit -S -n 524288 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"

mkdir -p /run/sshd
rm -f /run/sshd.pid

# Options that older sshds do not know. All people come from the gateway: the
# failed logins of one must not shut the door for the others (OpenSSH 9.8), and a
# neighbour on the network must not take all places of logins (8.5).
set --
for option in PerSourcePenalties=no PerSourceMaxStartups=100; do
    if /usr/sbin/sshd -t -o "$option" 2>/dev/null; then
        set -- "$@" -o "$option"
    fi
done
# Engines give containers no IPv6 unless asked to, and then sshd finds no port
# for X11: it wants one of each family that it listens on.
if [ "$(cat /proc/sys/net/ipv6/conf/lo/disable_ipv6 2>/dev/null)" != 0 ]; then
    set -- "$@" -o AddressFamily=inet
fi
exec /usr/sbin/sshd -D -e "$@"
