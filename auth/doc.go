// Package auth decides who may enter what.
//
// A [Policy] holds the users. One attempt to log in gives it the login that the
// attempt named and a credential; the answer is a [Grant] or [ErrDenied], the
// same whatever was wrong. The host that a login names has no part in that
// answer: credentials prove a user, and [Grant.Target] says afterwards, readably,
// which host this user enters or why not.
//
// A Policy never changes and remembers no attempt. A client may try one name
// after another on a single connection, so who it is can only be the Grant of
// the attempt that succeeded: keep that value, and ask nothing else.
package auth
