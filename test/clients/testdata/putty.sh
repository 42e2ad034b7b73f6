# PuTTY's plink, psftp and pscp.
options=(-noagent -P "$PORT" -l "$LOGIN" -hostkey "$FINGERPRINT")
if [ -n "${PASSWORD-}" ]; then
    echo "$PASSWORD" >password
    options+=(-pwfile password)
elif [ -n "${KEY-}" ]; then
    puttygen "$KEY" -O private -o key.ppk
    options+=(-i key.ppk)
fi
[ -n "${CODE-}" ] && options+=(-no-antispoof) || options+=(-batch) # with -batch it asks for nothing
# exec_with_code is plink on a terminal of its own, where it asks for the code.
exec_with_code() {
    cat >in
    echo "$CODE" | script -qec "plink -ssh ${options[*]@Q} $HOST ${COMMAND@Q} <in >out 2>err" /dev/null >/dev/null
    status=$?
    cat out && cat err >&2
    exit "$status"
}
case $1 in
version) plink -V ;;
exec)
    [ -z "${CODE-}" ] || exec_with_code
    exec plink -ssh "${options[@]}" "$HOST" "$COMMAND"
    ;;
shell) echo "$TYPED" | plink -ssh "${options[@]}" -t "$HOST" ;;
sftp)
    printf '%s\n' "put up $FAR" "get $FAR down" >commands
    exec psftp "${options[@]}" -b commands "$HOST"
    ;;
scp) pscp -q -scp "${options[@]}" up "$HOST:$FAR" && pscp -q -scp "${options[@]}" "$HOST:$FAR" down ;;
forward) exec plink -ssh "${options[@]}" -N -L "127.0.0.1:$NEAR_PORT:127.0.0.1:$FAR_PORT" "$HOST" ;;
esac
