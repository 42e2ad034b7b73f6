package test

import "testing"

// bulk moves 100 MB that no codec could shorten up and down at once.
func (to target) bulk(t *testing.T) {
	to.want(t, `
		openssl enc -aes-128-ctr -pass pass:berth -pbkdf2 </dev/zero 2>/dev/null | head -c 100M >up
		ssh h cat <up >down && cmp up down && wc -c <down
		ssh h sha256sum <up | cmp - <(sha256sum <up)`,
		"104857600\n")
}
