# OpenSSH as clients are that know no other way than keyboard-interactive.
. "${0%/*}/config.sh"
sed -i 's/PreferredAuthentications password/PreferredAuthentications keyboard-interactive/' config
case $1 in
version) echo "OpenSSH with keyboard-interactive alone" ;;
exec) exec ssh -F config h "$COMMAND" ;;
shell) echo "$TYPED" | ssh -F config -tt h ;;
sftp) printf '%s\n' "put up $FAR" "get $FAR down" | sftp -q -F config -o BatchMode=no -b - h ;;
esac
