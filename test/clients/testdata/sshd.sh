# Starts a second sshd in the container, for developer: with the password $1, or
# a key of $2.
set -e
echo "developer:$1" | chpasswd
printf '%s\n' "$2" >/etc/ssh/matrix_keys
[ -e /etc/ssh/ssh_host_ecdsa_key ] || ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key
/usr/sbin/sshd -f /dev/null -p 2200 -h /etc/ssh/ssh_host_ed25519_key -h /etc/ssh/ssh_host_ecdsa_key -o PidFile=none \
    -o AuthorizedKeysFile=/etc/ssh/matrix_keys -o PasswordAuthentication=yes -o UsePAM=yes -o KbdInteractiveAuthentication=yes -o PrintMotd=no \
    -o PrintLastLog=no -o MaxStartups=100 -o MaxSessions=100 -o 'Subsystem=sftp internal-sftp'
