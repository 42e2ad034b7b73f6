// Package peers tries how the hosts of one project reach each other by ssh.
package peers
