// Package keeper decides who may enter what, and opens hosts. It has everything that
// is worth stealing: the policy with the password hashes, the hosts and through them
// the engine, and the user CA. It parses nothing that comes from the network.
//
// A gateway asks it about each attempt to log in: [Keeper.Key], [Keeper.Password] and
// [Keeper.Code]; [Keeper.DirectoryPassword], [Keeper.RequestApproval] and
// [Keeper.AwaitApproval] where a directory or an OpenID provider decides. Then the gateway
// has it open a host for the identity that was proved: [Keeper.Enter]. In one process the
// keeper believes the gateway's word for an identity. Between two processes, package fronts
// accepts only identities that the keeper itself has given out.
package keeper
