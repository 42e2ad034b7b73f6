# Makes a CA (ca.pem), a certificate of a server at 127.0.0.1 (server.pem), and
# one of a client by the names that Docker's clients look for.
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $key -keyout ca-key.pem -out ca.pem -subj /CN=ca -days 1
for name in server client; do
    openssl req $key -keyout $name-key.pem -out $name.csr -subj /CN=$name
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out $name.pem -days 1 \
        -extfile <(echo subjectAltName=IP:127.0.0.1)
done
mv client.pem cert.pem
mv client-key.pem key.pem
