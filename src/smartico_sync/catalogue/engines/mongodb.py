"""MongoDB, as data."""

from smartico_sync.catalogue.engines.declaration import Engine, Parameter

__all__ = ["MONGODB"]

# fmt: off
MONGODB = Engine(
    "mongodb", "MongoDB", "smartico_sync.sources.mongodb", "mongodb", aliases={"mongo": ""}, variants=("srv",), port=27017,
    query="aggregate", ids="ids made by clients are not ordered: prefer (timestamp, _id)",
    number="{{$set: {{{0}: {{$toLong: '${0}'}}}}}}",
    parameters=(
        Parameter("replicaSet", "the set's name; with it the driver finds all members and follows elections"),
        Parameter("readPreference", "who is read. `secondary` never burdens the primary", "secondaryPreferred"),
        Parameter("readPreferenceTags", "tags of a member kept for this"),
        # The driver takes 90 at least.
        Parameter("maxStalenessSeconds", "a secondary further behind is not asked; at least 90", "120"),
        Parameter("localThresholdMS", "members at most that much slower than the fastest are asked"),
        Parameter("authSource", "the database where the user was made"),
        Parameter("authMechanism", "how to log in: SCRAM (unless given), `MONGODB-X509`, `MONGODB-AWS`, `PLAIN` …"),
        Parameter("authMechanismProperties", "what that way needs"),
        Parameter("tls", "TLS; on for `mongodb+srv` unless given", others=("ssl",)),
        Parameter("tlsCAFile", "the authority of the server's certificate"),
        Parameter("tlsCertificateKeyFile", "our certificate and its key"),
        Parameter("tlsCertificateKeyFilePassword", "the key's password"),
        Parameter("tlsCRLFile", "revoked certificates"),
        Parameter("tlsDisableOCSPEndpointCheck", "`true`: no question whether a certificate was revoked"),
        Parameter("tlsAllowInvalidHostnames", "gives up what TLS is for; for a test"),
        Parameter("tlsAllowInvalidCertificates", "likewise"),
        Parameter("directConnection", "`true`: only the host that is named, whatever its role"),
        Parameter("loadBalanced", "as the driver's manual says"),
        Parameter("srvServiceName", "likewise"),
        Parameter("srvMaxHosts", "likewise"),
        Parameter("connectTimeoutMS", "patience with one member; `statement_timeout` and two seconds unless given"),
        Parameter("serverSelectionTimeoutMS", "patience with all; likewise"),
        Parameter("heartbeatFrequencyMS", "pause between two looks at the members"),
        Parameter("maxIdleTimeMS", "how long an unused connection is kept"),
        Parameter("retryReads", "a read that ends with its connection, or in an election, is repeated once by the driver; `true` unless given"),
        Parameter("compressors", "for a slow network: `compressors=zlib` needs nothing more"),
        Parameter("zlibCompressionLevel", "from 1 to 9"),
        Parameter("appName", "the name in the server's log and in `db.currentOp()`", "smartico-sync"),
        Parameter("sample", "how many documents columns and types are learnt from", "1000"),
        # Atlas hands out URLs with these.
        Parameter("w", "says how to write; nothing is written", use="ignored"),
        Parameter("wTimeoutMS", "likewise", use="ignored"),
        Parameter("journal", "likewise", use="ignored"),
        Parameter("retryWrites", "likewise", use="ignored"),
    ),
)
# fmt: on
