#!/bin/sh
# Lets the hosts of one project reach each other by ssh, as the same account,
# without a password and without a question about host keys: mpirun, DeepSpeed,
# pdsh and torchrun start their workers so.
#
# provision mounts one volume of the project at /var/lib/berth/peers. The first
# host that starts makes a CA in it. Each host has the CA certify its host keys,
# and a key for each account that people work as. A certificate names its
# account and opens that one alone. The CA is root's; whoever is root in one host
# of a project is so in all of them.
set -eu

ca=/var/lib/berth/peers/ca
here=/run/berth/peers

make_key() { # account
    rm -rf "$here/$1"
    mkdir -m 0700 "$here/$1"
    ssh-keygen -q -t ed25519 -N '' -C "$1@$(hostname)" -f "$here/$1/id_ed25519"
    ssh-keygen -q -s "$ca" -I "$1@$(hostname)" -n "$1" "$here/$1/id_ed25519.pub"
    chown -R "$1" "$here/$1"
}

# For one account more: see account.sh.
if [ $# -gt 0 ]; then
    [ ! -e "$here/known_hosts" ] || make_key "$1"
    exit 0
fi

rm -rf "$here" /etc/ssh/berth_peers_ca.pub /etc/ssh/ssh_host_*_key-cert.pub
: > /etc/ssh/berth_peers
[ -d /var/lib/berth/peers ] || exit 0

# Made beside and linked, so that of two hosts that start at once one wins.
chmod 0700 /var/lib/berth/peers
if [ ! -e "$ca" ]; then
    new=$(mktemp -d /var/lib/berth/peers/.new-XXXXXX)
    ssh-keygen -q -t ed25519 -N '' -C 'berth peers' -f "$new/ca"
    ln "$new/ca" "$ca" 2>/dev/null || :
    rm -rf "$new"
fi
ssh-keygen -y -f "$ca" > /etc/ssh/berth_peers_ca.pub

mkdir -p "$here"
# The CA speaks for hosts on the project's own networks: names without a point
# and private addresses. It is no word on github.com.
for names in '*,!*.*' '10.*,172.*,192.168.*'; do
    printf '@cert-authority %s %s\n' "$names" "$(cat /etc/ssh/berth_peers_ca.pub)"
done > "$here/known_hosts"
make_key root
# developer, and who has an account of one's own beside it.
getent passwd | awk -F: -v group="$(id -g developer)" '$4 == group { print $1 }' | while read -r account; do
    make_key "$account"
done
for key in /etc/ssh/ssh_host_*_key.pub; do
    ssh-keygen -q -s "$ca" -h -I "$(hostname)" "$key"
    printf 'HostCertificate %s\n' "${key%.pub}-cert.pub" >> /etc/ssh/berth_peers
done
cat /etc/ssh/berth_peers_ca.pub >> /etc/ssh/berth_user_ca.pub

# What ssh_config includes for such names. A key named here takes the place of
# those that ssh knows by itself, so these are named too.
cat > "$here/ssh_config" <<'EOF'
IdentityFile /run/berth/peers/%u/id_ed25519
CertificateFile /run/berth/peers/%u/id_ed25519-cert.pub
IdentityFile ~/.ssh/id_rsa
IdentityFile ~/.ssh/id_ecdsa
IdentityFile ~/.ssh/id_ecdsa_sk
IdentityFile ~/.ssh/id_ed25519
IdentityFile ~/.ssh/id_ed25519_sk
GlobalKnownHostsFile /run/berth/peers/known_hosts /etc/ssh/ssh_known_hosts
SendEnv BERTH_USER NCCL_* CUDA_* MASTER_ADDR MASTER_PORT WORLD_SIZE RANK LOCAL_RANK
EOF
