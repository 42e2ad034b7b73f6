# curl, whose sftp and scp are libssh2's.
export HOME=$PWD # curl takes the key's type from there
mkdir -p .ssh && cp "$KNOWN_HOSTS" .ssh/known_hosts
options=(-sS)
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
