// The namespaces of calls over XMPP.

export const namespaces = {
  jingle: 'urn:xmpp:jingle:1',
  jingleErrors: 'urn:xmpp:jingle:errors:1',
  rtp: 'urn:xmpp:jingle:apps:rtp:1',
  rtpInfo: 'urn:xmpp:jingle:apps:rtp:info:1',
  audio: 'urn:xmpp:jingle:apps:rtp:audio',
  video: 'urn:xmpp:jingle:apps:rtp:video',
  feedback: 'urn:xmpp:jingle:apps:rtp:rtcp-fb:0',
  headerExtensions: 'urn:xmpp:jingle:apps:rtp:rtp-hdrext:0',
  sources: 'urn:xmpp:jingle:apps:rtp:ssma:0',
  grouping: 'urn:xmpp:jingle:apps:grouping:0',
  dtls: 'urn:xmpp:jingle:apps:dtls:0',
  iceUdp: 'urn:xmpp:jingle:transports:ice-udp:1',
  ice: 'urn:xmpp:jingle:transports:ice:0',
  dtmf: 'urn:xmpp:jingle:dtmf:0',
  jmi: 'urn:xmpp:jingle-message:0',
  hints: 'urn:xmpp:hints',
  delay: 'urn:xmpp:delay'
} as const
