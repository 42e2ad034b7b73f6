cat >server.py <<'END'
SERVER
END
mkfifo input # the server lives as long as its input
nohup python3 server.py SOCKET <>input >log 2>&1 &
