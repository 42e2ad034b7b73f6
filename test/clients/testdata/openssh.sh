. "${0%/*}/config.sh"
case $1 in
version) ssh -V 2>&1 ;;
exec) exec ssh -F config h "$COMMAND" ;;
shell) echo "$TYPED" | ssh -F config -tt h ;;
sftp) printf '%s\n' "put up $FAR" "get $FAR down" | sftp -q -F config -o BatchMode=no -b - h ;; # -b alone asks for no password
scp) scp -q -O -F config up "h:$FAR" && scp -q -O -F config "h:$FAR" down ;;
forward) exec ssh -F config -N -L "$NEAR_PORT:127.0.0.1:$FAR_PORT" h ;;
esac
