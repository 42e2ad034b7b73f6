# rclone, which speaks SSH itself.
export RCLONE_CONFIG=$PWD/rclone.conf
cat "$KNOWN_HOSTS" ${OTHER_KNOWN_HOSTS-} >known_hosts
printf "[h]\ntype = sftp\nhost = %s\nport = %s\nuser = %s\nknown_hosts_file = known_hosts\n" "$HOST" "$PORT" "$LOGIN" >rclone.conf
if [ -n "${PASSWORD-}" ]; then
    echo "pass = $(rclone obscure "$PASSWORD")" >>rclone.conf
elif [ -n "${KEY-}" ]; then
    echo "key_file = $KEY" >>rclone.conf
fi
case $1 in
version) rclone version | head -1 ;;
sftp) rclone copyto up "h:$FAR" && rclone copyto "h:$FAR" down ;;
esac
