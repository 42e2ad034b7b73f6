// Package auth decides who may enter what.
//
// A [Policy] holds the users. For one attempt to log in, it is given the login and a
// credential, and answers with an [Identity] or with [ErrDenied], which is the same
// whatever was wrong. A credential proves a user; the host in the login plays no part
// in that. [Policy.Target] then decides which host this identity may enter as which
// account, or says readably why none: a user has a [Grant] for each host that the
// user may enter.
//
// A key may be one line of an authorized_keys file ([Authorized]). Its options are
// [Restrictions] on every host, as a grant's are on its own hosts. A certificate is
// valid if a trusted authority has signed it. If a [Rule] demands several steps,
// [Policy.After] says which step follows each, and joins them in one Identity, of one
// user and one login.
//
// People may also be known to a [Service]: a directory checks their passwords, an
// OpenID provider gets their approvals. This package asks no service itself:
// [Policy.NameAt] says about which name to ask, and [Policy.By] makes an Identity of
// the answer. It contains the person's groups at the service, which a [Group] of the
// policy may refer to.
//
// A Policy never changes and remembers no attempt. A client may try several names on
// one connection; its identity is only the Identity of the attempt that succeeded.
// Keep that value, and take it from nowhere else.
//
// [Policies] holds the policy in force, which can be replaced while connections live.
// Code that decides several things which belong together must take the policy once
// for all of them.
//
// The package is larger than others because a Policy is one value: no credential and
// no grant can be judged without the rest of it.
package auth
