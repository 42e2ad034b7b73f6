// Package attack tells the attacks that gateways like this one have fallen for,
// and that this one must withstand.
package attack
