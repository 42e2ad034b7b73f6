# Dropbear's dbclient, whose known_hosts knows no ports and no comments.
mkdir -p "$HOME/.ssh" && sed 's/^\[\(.*\)\]:[0-9]*/\1/' "$KNOWN_HOSTS" | cut -d' ' -f1-3 >"$HOME/.ssh/known_hosts"
options=(-p "$PORT" -l "$LOGIN")
if [ -n "${PASSWORD-}" ]; then
    export DROPBEAR_PASSWORD=$PASSWORD
elif [ -n "${KEY-}" ]; then
    dropbearconvert openssh dropbear "$KEY" key 2>/dev/null
    options+=(-i key)
    [ -z "${CODE-}" ] || export DROPBEAR_PASSWORD=$CODE # its answer to whatever is asked
fi
case $1 in
version) dbclient -V 2>&1 ;;
exec) exec dbclient "${options[@]}" "$HOST" "$COMMAND" ;;
shell) echo "$TYPED" | script -qec "dbclient ${options[*]} -t $HOST" /dev/null ;; # it wants a terminal
forward) exec dbclient "${options[@]}" -N -L "127.0.0.1:$NEAR_PORT:127.0.0.1:$FAR_PORT" "$HOST" ;;
esac
