# Holds 250 connections to the sshd of an address, and makes those again that it
# closes. Says when there were 250.
use strict;
use IO::Select;
use IO::Socket::INET;

$| = 1;
my ($open, $made) = (IO::Select->new, 0);
while (1) {
    while ($open->count < 250) {
        my $socket = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 22) or last;
        $open->add($socket);
        print "all connected\n" if ++$made == 250;
    }
    for my $socket ($open->can_read(0.02)) {
        next if sysread $socket, my $said, 4096;
        $open->remove($socket);
        close $socket;
    }
}
