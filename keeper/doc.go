// Package keeper decides who may enter what, and opens it. It has what is worth
// stealing: the policy with the hashes of passwords, the hosts and with them the
// engine, and the user CA. It parses nothing that comes from the network.
//
// A gateway asks it about each attempt to log in ([Keeper.Key], [Keeper.Password],
// [Keeper.Code]; [Keeper.PasswordElsewhere], [Keeper.Ask] and [Keeper.Await], where a
// directory or a provider is asked), and then to let the identity that was proved into a host
// ([Keeper.Enter]). What a gateway says of an identity is believed here, where both
// are one process; where they are two, package fronts believes no identity that a
// keeper has not given out itself.
package keeper
