package patches

// sums returns the SHA-256 of the files that are edited, in the version for which the
// edits were written. Another version of the module has other sums: then read what
// upstream has changed, drop the edits that it has made itself, and run the tests.
func sums() map[string]string {
	return map[string]string{
		"ssh/buffer.go":     "8a7997c253d676a137735b1d0d9b17b8bca33dc54d351bd86620a1e017ad3520",
		"ssh/channel.go":    "bc0e4204db6da021709c313cc6a0e4323695164fa1087dc538662f02f0380e78",
		"ssh/cipher.go":     "e7aa62253f84266bf5a90a8d26f908fa36cbf9732a09d775bc83e0922bd1fca6",
		"ssh/client.go":     "08aa99419e0c6d8d007bd08b07b8d56416c6e5df89d8ffcbcfac5b1bfc1a3819",
		"ssh/connection.go": "c7c53e292b904ad31acd0fb7325e481a4c15a8e341e2d0769aab77fe82449ae6",
		"ssh/handshake.go":  "418c6f6fb62c271e6b7c1a51c4bac59cfe08a6c778686cfbd5dd2e3de2f3bb34",
		"ssh/mux.go":        "ad105cd022db660961fd3b62d0b07e31dd0a2d032e4b55a02681bcfae6d8161e",
		"ssh/server.go":     "758446779119e406275495b33359a31309d6a108bd00291ae38f733f91e5cc57",
		"ssh/transport.go":  "245b42435040ca899da4ca5e3b1022ab93e1dfdfbdf3cbbac06d4c656b7f344c",
	}
}

// patch is the correction of one fault.
type patch struct {
	fault string
	issue string // upstream's
	test  string // fails without the patch
	edits []edit
}

// all returns all patches.
func all() []patch {
	return []patch{
		unread(), unserved(), smallPackets(), strangers(), serviceAgain(), wrongSignature(), turns(), idle(), over(), exchanges(), unanswered(), unrecognized(),
		handedOn(), received(), sent(),
	}
}

// unread: one goroutine reads packets and passes them on through a channel with room
// for 16. When the receiver has given up, because of an error before or after the
// login, that goroutine blocks in its send for ever, and others wait for its end.
func unread() patch {
	return patch{
		fault: "a connection that ends with more than 16 packets unread is never freed",
		issue: "none filed",
		test:  "TestUnread",
		edits: []edit{{
			file: "ssh/handshake.go", in: "handshakeTransport.Close",
			at: "err := t.conn.Close()", after: "\nt.discard()",
		}, {
			file: "ssh/server.go", in: "NewServerConn",
			at: "s.serverHandshake(", instead: "s.serverHandshakeOrAbandon(",
		}, {
			file: "ssh/client.go", in: "NewClientConn",
			at: "conn.clientHandshake(", instead: "conn.clientHandshakeOrAbandon(",
		}},
	}
}

// unserved: the same fault one level higher. The loop of the connection protocol
// blocks in sends to the code that serves channels and requests, also after that code
// has closed the connection and serves no more.
func unserved() patch {
	const before, after = "select {\ncase ", ".closed:\nreturn io.EOF\n}"
	return patch{
		fault: "a connection that is closed with more than 16 requests or channels unserved is never freed",
		issue: "none filed",
		test:  "TestUnserved",
		edits: []edit{{
			file: "ssh/mux.go", in: "mux",
			at: "errCond", before: "closed chan struct{}\ncloseOnce sync.Once\n\n",
		}, {
			file: "ssh/mux.go", in: "newMux",
			at: "go m.loop()", before: "m.closed = make(chan struct{})\n",
		}, {
			file: "ssh/mux.go", in: "mux.handleChannelOpen",
			at: "m.incomingChannels <-", before: before, after: ":\ncase <-m" + after,
		}, {
			file: "ssh/mux.go", in: "mux.handleGlobalPacket",
			at: "m.incomingRequests <-", before: before, after: ":\ncase <-m" + after,
		}, {
			file: "ssh/channel.go", in: "channel.handlePacket",
			at: "ch.incomingRequests <-", before: before, after: ":\ncase <-ch.mux" + after,
		}, {
			file: "ssh/connection.go", in: "connection.Close",
			at: "return", before: "c.sayClosed()\n",
		}},
	}
}

// smallPackets: a window counts bytes of data, but each packet also costs an
// allocation and a list element: 48 bytes for a packet of one byte.
func smallPackets() patch {
	return patch{
		fault: "a window of 2 MiB, filled by packets of one byte, holds 100 MiB",
		issue: "none filed",
		test:  "TestSmallPackets",
		edits: []edit{{
			file: "ssh/buffer.go", in: "buffer.write", at: "e := &element",
			before: "if b.merge(buf) {\nb.Cond.Signal()\nb.Cond.L.Unlock()\nreturn\n}\nbuf = withRoom(buf)\n",
		}},
	}
}

// strangers: while a password is checked, or waits to be, the client may send more:
// 16 packets of 256 KiB are kept for a client that has not logged in.
func strangers() patch {
	return patch{
		fault: "a client that is not logged in may fill 4 MiB",
		issue: "none filed",
		test:  "TestStrangers",
		edits: []edit{{
			file: "ssh/handshake.go", in: "handshakeTransport",
			at: "userAuthComplete bool", before: "loggedIn atomic.Bool\nbeforeLogin int\n",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.writePacket",
			at: "t.userAuthComplete = true", after: "\nt.loggedIn.Store(true)",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.readOnePacket",
			at: "if t.readPacketsLeft > 0", before: "if err := t.countBeforeLogin(p); err != nil {\nreturn nil, err\n}\n",
		}},
	}
}

// serviceAgain: paramiko requests the service before each attempt to log in.
func serviceAgain() patch {
	return patch{
		fault: "a second request for the service ssh-userauth ends the connection",
		issue: "https://github.com/golang/go/issues/75268",
		test:  "TestServiceAgain",
		edits: []edit{{
			file: "ssh/server.go", in: "connection.serverAuthenticate",
			at: "if packet, err := s.transport.readPacket()", instead: "if packet, err := s.readAuthRequest()",
		}},
	}
}

// wrongSignature: an agent or a token signs wrongly, or a security key without the touch
// that its owner must give. The client has other keys and a password to try.
func wrongSignature() patch {
	const wrong = "pubKeyForVerify.Verify(signedData, sig); err != nil {\n\t\t\t\t\t"
	return patch{
		fault: "a signature that is wrong ends the connection, without a word, where it is one failed attempt (RFC 4252 §7)",
		issue: "none filed",
		test:  "TestWrongSignature",
		edits: []edit{{
			file: "ssh/server.go", in: "connection.serverAuthenticate",
			at: wrong + "return nil, err", instead: wrong + "authErr = err\nbreak",
		}},
	}
}

// turns: RFC 4254 has one order of global requests, their answers and channel opens,
// and clients rely on it: OpenSSH's client asks for its forwards and opens its
// session without waiting. Requests and channels arrive on two Go channels, so each
// is given its turn in that order; so is an answer to SendInTurn.
func turns() patch {
	return patch{
		fault: "nobody can tell whether a request was sent before or after a channel's open",
		issue: "none filed",
		test:  "TestTurns",
		edits: []edit{{
			file: "ssh/mux.go", in: "mux",
			at: "incomingChannels chan NewChannel", before: "turns uint64\nanswersInTurn atomic.Bool\nanswerTurn uint64\n\n",
		}, {
			file: "ssh/channel.go", in: "Request",
			at: "ch  *channel", before: "turn uint64\n",
		}, {
			file: "ssh/channel.go", in: "channel",
			at: "mux *mux", before: "turn uint64\n",
		}, {
			file: "ssh/mux.go", in: "mux.handleChannelOpen",
			at: "c.remoteId = msg.PeersID", after: "\nc.turn = m.takeTurn()",
		}, {
			file: "ssh/mux.go", in: "mux.handleGlobalPacket",
			at: "mux:       m,", instead: "mux: m,\nturn: m.takeTurn(),",
		}, {
			file: "ssh/mux.go", in: "mux.handleGlobalPacket",
			at: "select {", before: "m.takeAnswersTurn()\n",
		}},
	}
}

// idle: x/crypto reads and writes through buffers of 4 KiB, and each cipher and each
// channel keeps a buffer for the largest packet so far. With the patch these come
// from a pool. A goroutine waits for the next key exchange; with the patch it is
// started for each key exchange.
func idle() patch {
	return patch{
		fault: "an idle connection keeps 8 KiB of buffers, and 130 KiB when much was sent over it once",
		issue: "none filed",
		test:  "TestIdle",
		edits: []edit{{
			file: "ssh/transport.go", in: "transport",
			at: "bufReader *bufio.Reader", instead: "bufReader *packetReader",
		}, {
			file: "ssh/transport.go", in: "transport",
			at: "bufWriter *bufio.Writer", instead: "bufWriter *packetWriter",
		}, {
			file: "ssh/transport.go", in: "newTransport",
			at: "bufio.NewReader(rwc)", instead: "&packetReader{buffered: bufio.NewReader(rwc), conn: rwc}",
		}, {
			file: "ssh/transport.go", in: "newTransport",
			at: "bufio.NewWriter(rwc)", instead: "&packetWriter{conn: rwc}",
		}, {
			file: "ssh/transport.go", in: "connectionState.readPacket",
			at: "*bufio.Reader", instead: "*packetReader",
		}, {
			file: "ssh/transport.go", in: "connectionState.readPacket",
			at: "s.packetCipher = cipher", after: "\nr.exchanged = true",
		}, {
			file: "ssh/transport.go", in: "connectionState.writePacket",
			at: "*bufio.Writer", instead: "*packetWriter",
		}, {
			file: "ssh/cipher.go", in: "gcmCipher",
			at: "buf    []byte", before: "whole []byte\n",
		}, {
			file: "ssh/cipher.go", in: "gcmCipher.readCipherPacket",
			at: "if cap(c.buf) < int(length+gcmTagSize)", before: "c.buf = bufferFor(r, int(length)+gcmTagSize)\n",
		}, {
			file: "ssh/cipher.go", in: "gcmCipher.readCipherPacket",
			at: "return plain, nil", before: "c.buf = nil\n",
		}, {
			file: "ssh/buffer.go", in: "buffer.Read",
			at: "n += r", after: "\nb.head.letGo()",
		}, {
			file: "ssh/cipher.go", in: "gcmCipher.writeCipherPacket",
			at: "w.Write(c.prefix[:])", instead: "c.begin(w, packet, length)",
		}, {
			file: "ssh/cipher.go", in: "gcmCipher.writeCipherPacket",
			at: "w.Write(c.buf)", instead: "c.end(w)",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.kexLoop",
			at: "t.mu.Unlock()", after: "\nif t.getWriteError() == nil {\nt.restKexLoop()\nreturn\n}",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport",
			at: "sessionID []byte", before: "kexLoopRests atomic.Bool\n",
		}, {
			file: "ssh/handshake.go", in: "newHandshakeTransport",
			at: "make(chan *pendingKex)", instead: "make(chan *pendingKex, 1)",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.requestKeyExchange",
			at: "case t.requestKex <- struct{}{}:", after: "\nt.wakeKexLoop()",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.readOnePacket",
			at: "t.startKex <- &kex", after: "\nt.wakeKexLoop()",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.readLoop",
			at: "close(t.startKex)", after: "\nt.wakeKexLoop()",
		}, {
			file: "ssh/channel.go", in: "channel.WriteExtended",
			at: "packet := ch.packetPool[extendedCode]", instead: "var packet []byte\nout := new(outgoing)",
		}, {
			file: "ssh/channel.go", in: "channel.WriteExtended",
			at: "ch.packetPool[extendedCode] = packet", instead: "out.giveBack()",
		}},
	}
}

// over: code that has to wait for the end of a connection and for something else
// needs a goroutine that waits.
func over() patch {
	return patch{
		fault: "nobody can wait for a connection's end and for something else at once",
		issue: "none filed",
		test:  "TestOver",
		edits: []edit{{
			file: "ssh/mux.go", in: "mux",
			at: "errCond", before: "over chan struct{}\n\n",
		}, {
			file: "ssh/mux.go", in: "newMux",
			at: "go m.loop()", before: "m.over = make(chan struct{})\n",
		}, {
			file: "ssh/mux.go", in: "mux.loop",
			at: "if debugMux {", before: "close(m.over)\n",
		}},
	}
}

// exchanges: a peer may start key exchanges as often as it likes, each of which costs
// milliseconds of a processor. With the patch the connection's owner is asked for a
// turn before each one. The turn ends as soon as x/crypto waits for the peer.
func exchanges() patch {
	const before = "turns := t.turns()\ndefer turns.giveBack()\n"
	return patch{
		fault: "nothing holds a peer back that exchanges keys again and again",
		issue: "none filed",
		test:  "TestExchanges",
		edits: []edit{{
			file: "ssh/handshake.go", in: "handshakeTransport.server",
			at: "r, err := kex.Server(", before: before,
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.server",
			at: "t.conn, t.config.Rand", instead: "turns, t.config.Rand",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.client",
			at: "result, err := kex.Client(", before: before + "if err := turns.take(); err != nil {\nreturn nil, err\n}\n",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.client",
			at: "t.conn, t.config.Rand", instead: "turns, t.config.Rand",
		}},
	}
}

// unanswered: for each channel, 16 requests of up to 256 KiB wait for the code that
// serves it, and a peer has many channels. With the patch requests are counted until
// they are answered.
func unanswered() patch {
	return patch{
		fault: "a peer fills 4 MiB for each channel with requests that nobody answers",
		issue: "none filed",
		test:  "TestUnanswered",
		edits: []edit{{
			file: "ssh/mux.go", in: "mux",
			at: "errCond", before: "unanswered atomic.Int64\n",
		}, {
			file: "ssh/channel.go", in: "Request",
			at: "ch  *channel", before: "answered func()\n",
		}, {
			file: "ssh/channel.go", in: "Request.Reply",
			at: "if !r.WantReply", before: "r.release()\n",
		}, {
			file: "ssh/channel.go", in: "channel.handlePacket",
			at: "ch.incomingRequests <-", before: "if err := ch.mux.count(&req); err != nil {\nreturn err\n}\n",
		}, {
			file: "ssh/connection.go", in: "DiscardRequests",
			at: "if req.WantReply", before: "req.release()\n",
		}},
	}
}

// unrecognized: by RFC 4253 §11.4 the receiver of an unknown message reports that and
// goes on; by RFC 4252 §5.1 a server ignores late messages of a login. Here either of
// them ended the connection, and so did a peer's report that it did not know a
// message.
func unrecognized() patch {
	return patch{
		fault: "a client that sends a message that is not known, or too late, is cut",
		issue: "none filed",
		test:  "TestUnrecognized",
		edits: []edit{{
			file: "ssh/handshake.go", in: "handshakeTransport.readOnePacket",
			at: "return p, nil", instead: "return t.recognized(p)",
		}, {
			file: "ssh/mux.go", in: "mux.onePacket",
			at: "if len(packet) < 5", before: "if packet[0] == msgUserAuthRequest { // sent before the login was over\nreturn nil\n}\n",
		}, {
			file: "ssh/mux.go", in: "mux.handleChannelOpen",
			at: "msg.MaxPacketSize < minPacketLength || msg.MaxPacketSize > 1<<31", instead: "msg.MaxPacketSize < minPacketLength",
		}, {
			file: "ssh/mux.go", in: "mux.handleUnknownChannelPacket", // as of what was read late, when its channel was closed already
			at: "default:", before: "case *windowAdjustMsg, *channelRequestSuccessMsg, *channelRequestFailureMsg:\nreturn nil\n",
		}},
	}
}

// handedOn: one goroutine reads packets and hands them to another one, the loop of the
// connection protocol. This wakes a goroutine for each packet, and costs an idle
// connection one more stack. With the patch the loop itself reads after the login. The
// exception is a key exchange that this side has begun: the loop may wait for its end,
// and somebody must read the peer's part of it. Many other packets may come before that
// part, and x/crypto had room for only 16: then both waited for each other for ever, and
// nobody noticed that the peer was gone.
func handedOn() patch {
	return patch{
		fault: "each packet wakes a goroutine that hands it on to another one, and an idle connection keeps both",
		issue: "none filed",
		test:  "TestHandedOn",
		edits: []edit{{
			file: "ssh/handshake.go", in: "handshakeTransport",
			at: "readError error", after: "\nreading reading\n",
		}, {
			file: "ssh/mux.go", in: "newMux",
			at: "go m.loop()", before: "m.readsByItself()\n",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.readPacket",
			at: "p, ok := <-t.incoming", before: "if t.reading.isLoops() {\nreturn t.readForLoop()\n}\n",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.readLoop",
			at: "t.incoming <- p", after: "\nif t.reading.isLoops() {\nt.readAside()\nreturn\n}",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.sendKexInit",
			at: "t.sentInitPacket = packet", after: "\nt.exchangeBegins()",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.kexLoop",
			at: "t.sentInitMsg = nil", after: "\nt.reading.exchangeEnds()",
		}},
	}
}

// received: data packets are read into new memory, which is zeroed, is not in the
// processor's caches, and becomes garbage. With the patch it comes from a pool, and
// goes back as soon as all data was copied out of the channel's buffer.
func received() patch {
	return patch{
		fault: "each packet of data that is received takes 40 KiB of new memory",
		issue: "none filed",
		test:  "TestReceived",
		edits: []edit{{
			file: "ssh/buffer.go", in: "element",
			at: "next *element", before: "whole []byte\n",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport",
			at: "incoming  chan []byte", before: "received []byte\n",
		}, {
			file: "ssh/transport.go", in: "connectionState.readPacket",
			at: "fresh := make([]byte, len(packet))", before: "if r.stays(packet) {\nreturn packet, err\n}\n",
		}, {
			file: "ssh/transport.go", in: "connectionState.readPacket",
			at: "copy(fresh, packet)", after: "\nr.giveBack()",
		}, {
			file: "ssh/channel.go", in: "channel.handleData",
			at: "ch.extPending.write(data)", instead: "ch.extPending.writeReceived(data, ch.mux.takeReceived(packet))",
		}, {
			file: "ssh/channel.go", in: "channel.handleData",
			at: "ch.pending.write(data)", instead: "ch.pending.writeReceived(data, ch.mux.takeReceived(packet))",
		}},
	}
}

// sent: data is copied into a packet, which a cipher copies to where it encrypts it,
// and the connection copies to its queue. With the patch the packet is built where it
// is encrypted, and a connection that supports it takes the packet over without a
// copy.
func sent() patch {
	return patch{
		fault: "each packet of data that is sent is copied three times",
		issue: "none filed",
		test:  "TestSent",
		edits: []edit{{
			file: "ssh/channel.go", in: "channel.WriteExtended",
			at:      "if want := headerLength + space; uint32(cap(packet)) < want {\n\t\t\tpacket = make([]byte, want)\n\t\t} else {\n\t\t\tpacket = packet[:want]\n\t\t}",
			instead: "packet = out.make(headerLength + space)",
		}, {
			file: "ssh/channel.go", in: "channel.WriteExtended",
			at: "ch.writePacket(packet)", instead: "ch.writeMade(out, packet)",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.writePacket",
			at: "writePacket(p []byte)", instead: "writeMade(out *outgoing, p []byte)",
		}, {
			file: "ssh/handshake.go", in: "handshakeTransport.writePacket",
			at: "t.pushPacket(p)", instead: "t.pushMade(out, p)",
		}},
	}
}
