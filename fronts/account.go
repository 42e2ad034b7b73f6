package fronts

import (
	"os/user"
	"strconv"
)

// accountName is the account that a front runs as, if that account exists.
const accountName = "berth-front"

// nobody is the id of an account without rights to anything.
const nobody = 65534

// Account returns the account for a front that root starts: the one that the packages
// create, or nobody if there is none.
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
