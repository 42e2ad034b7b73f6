// Package accounts tries hosts where each person has an account, and accounts that
// are not there.
package accounts
