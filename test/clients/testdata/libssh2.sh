# curl, whose sftp and scp are libssh2's.
options=(-sS --hostpubsha256 "${FINGERPRINT#SHA256:}")
if [ -n "${PASSWORD-}" ]; then
    options+=(--user "$LOGIN:$PASSWORD")
elif [ -n "${KEY-}" ]; then
    ssh-keygen -y -f "$KEY" >key.pub
    options+=(--user "$LOGIN:" --key "$KEY" --pubkey key.pub)
fi
copy() { curl "${options[@]}" -T up "$1://$HOST:$PORT$FAR" && curl "${options[@]}" -o down "$1://$HOST:$PORT$FAR"; }
case $1 in
version) curl -V | sed -n 's/^\(curl [^ ]*\).*\(libssh2\)\/\([^ ]*\).*/\2 \3 (\1)/p' ;;
sftp) copy sftp ;;
scp) copy scp ;;
esac
