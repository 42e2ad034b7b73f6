// Package machine is where an account's processes run and its addresses mean
// something: start this process, dial this address, listen there.
//
// A [Machine] is what an SSH session server needs of such a place. [Local] is
// one: the machine that this program runs on, as the account it runs as. Inside
// a container it is what package helper answers with.
package machine
