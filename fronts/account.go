package fronts

import (
	"os/user"
	"strconv"
)

// accountName is the account that a front runs as, where there is one.
const accountName = "berth-front"

// nobody is the account of who has nothing.
const nobody = 65534

// Account is the account that a front of root's runs as: one of its own, which the
// packages make, or else nobody's.
func Account() (uid, gid int) {
	known, err := user.Lookup(accountName)
	if err != nil {
		return nobody, nobody
	}
	uid, err = strconv.Atoi(known.Uid)
	gid, err2 := strconv.Atoi(known.Gid)
	if err != nil || err2 != nil || uid == 0 {
		return nobody, nobody
	}
	return uid, gid
}
