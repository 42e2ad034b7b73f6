// Package auth decides who may enter what.
//
// A [Policy] holds the users. One attempt to log in gives it the login that the
// attempt named and a credential; the answer is an [Identity] or [ErrDenied],
// the same whatever was wrong. The host that a login names has no part in that
// answer: credentials prove a user. [Policy.Target] says afterwards, readably,
// which host this identity enters as which account, or why none: users have a
// [Grant] for each host that they may enter.
//
// A key may be one line of an authorized_keys file ([Authorized]), whose options
// are [Restrictions] on every host, as a grant's are on its own; a certificate
// opens if an authority that is trusted has signed it. Where a [Rule] asks for
// several steps, [Policy.After] says what comes after each, and makes them one
// Identity: of one user, by one login.
//
// A [Service] may know people, too: a directory judges their passwords, an OpenID
// provider their approvals. Others ask it; [Policy.NameAt] says for whom, and
// [Policy.By] makes an Identity of what it answers. The groups that it tells of are
// in the Identity, and a [Group] may be for them.
//
// A Policy never changes and remembers no attempt. A client may try one name
// after another on a single connection, so who it is can only be the Identity
// of the attempt that succeeded: keep that value, and ask nothing else.
//
// [Policies] holds the policy in force, which can be replaced while
// connections live. A connection takes it once, after it was authenticated, and
// decides everything by that one.
//
// It is one package, and larger than others, because a Policy is one value: no way
// in and no grant can be judged without the others.
package auth
