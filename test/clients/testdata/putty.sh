# PuTTY's plink, psftp and pscp.
options=(-batch -noagent -P "$PORT" -l "$LOGIN" -hostkey "$FINGERPRINT")
if [ -n "${PASSWORD-}" ]; then
    echo "$PASSWORD" >password
    options+=(-pwfile password)
elif [ -n "${KEY-}" ]; then
    puttygen "$KEY" -O private -o key.ppk
    options+=(-i key.ppk)
fi
case $1 in
version) plink -V ;;
exec) exec plink -ssh "${options[@]}" "$HOST" "$COMMAND" ;;
shell) echo "$TYPED" | plink -ssh "${options[@]}" -t "$HOST" ;;
sftp)
    printf '%s\n' "put up $FAR" "get $FAR down" >commands
    exec psftp "${options[@]}" -b commands "$HOST"
    ;;
scp) pscp -q -scp "${options[@]}" up "$HOST:$FAR" && pscp -q -scp "${options[@]}" "$HOST:$FAR" down ;;
forward) exec plink -ssh "${options[@]}" -N -L "127.0.0.1:$NEAR_PORT:127.0.0.1:$FAR_PORT" "$HOST" ;;
esac
