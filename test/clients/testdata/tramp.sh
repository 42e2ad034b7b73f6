# TRAMP, which drives a shell of OpenSSH's on a dumb terminal.
. "${0%/*}/config.sh"
mkdir bin && printf '#!/bin/sh\nexec /usr/bin/ssh -F %s/config "$@"\n' "$PWD" >bin/ssh && chmod +x bin/ssh
export PATH="$PWD/bin:$PATH"
case $1 in
version) emacs --batch --eval '(progn (require (quote tramp)) (princ (format "TRAMP %s in Emacs %s\n" tramp-version emacs-version)))' 2>/dev/null ;;
edit) exec emacs --batch -Q --load "${0%/*}/tramp.el" ;;
esac
