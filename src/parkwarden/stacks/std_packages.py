"""The packages of Go's standard library, as data: `go list std` of Go 1.27.3, and names that older Go versions had.

Only the paths that a user's module could be mistaken for are needed one by one; everything below `internal/` or
`vendor/golang.org/` is the standard library's by its name alone (cmd/go reserves both).
"""

from __future__ import annotations

STD_PACKAGES = frozenset(
    """
    archive/tar archive/zip bufio bytes cmp compress/bzip2 compress/flate compress/gzip compress/lzw compress/zlib
    container/heap container/list container/ring context crypto crypto/aes crypto/cipher crypto/des crypto/dsa
    crypto/ecdh crypto/ecdsa crypto/ed25519 crypto/elliptic crypto/fips140 crypto/hkdf crypto/hmac crypto/hpke
    crypto/internal/boring crypto/internal/boring/bbig crypto/internal/boring/bcache crypto/internal/boring/sig
    crypto/internal/constanttime crypto/internal/cryptotest crypto/internal/cryptotest/wycheproof
    crypto/internal/cryptotest/x509limbo crypto/internal/entropy crypto/internal/entropy/v1.0.0
    crypto/internal/fips140 crypto/internal/fips140/aes crypto/internal/fips140/aes/gcm
    crypto/internal/fips140/alias crypto/internal/fips140/bigmod crypto/internal/fips140/check
    crypto/internal/fips140/check/checktest crypto/internal/fips140/drbg crypto/internal/fips140/ecdh
    crypto/internal/fips140/ecdsa crypto/internal/fips140/ed25519 crypto/internal/fips140/edwards25519
    crypto/internal/fips140/edwards25519/field crypto/internal/fips140/hkdf crypto/internal/fips140/hmac
    crypto/internal/fips140/mldsa crypto/internal/fips140/mlkem crypto/internal/fips140/nistec
    crypto/internal/fips140/nistec/fiat crypto/internal/fips140/pbkdf2 crypto/internal/fips140/rsa
    crypto/internal/fips140/sha256 crypto/internal/fips140/sha3 crypto/internal/fips140/sha512
    crypto/internal/fips140/ssh crypto/internal/fips140/subtle crypto/internal/fips140/tls12
    crypto/internal/fips140/tls13 crypto/internal/fips140cache crypto/internal/fips140deps
    crypto/internal/fips140deps/byteorder crypto/internal/fips140deps/cpu crypto/internal/fips140deps/godebug
    crypto/internal/fips140deps/time crypto/internal/fips140hash crypto/internal/fips140only
    crypto/internal/fips140test crypto/internal/impl crypto/internal/rand crypto/internal/randutil
    crypto/internal/sysrand crypto/internal/sysrand/internal/seccomp crypto/md5 crypto/mldsa crypto/mlkem
    crypto/mlkem/mlkemtest crypto/pbkdf2 crypto/rand crypto/rc4 crypto/rsa crypto/sha1 crypto/sha256 crypto/sha3
    crypto/sha512 crypto/subtle crypto/tls crypto/tls/internal/fips140tls crypto/x509 crypto/x509/pkix database/sql
    database/sql/driver database/sql/internal debug/buildinfo debug/dwarf debug/elf debug/gosym debug/macho
    debug/pe debug/plan9obj embed embed/internal/embedtest encoding encoding/ascii85 encoding/asn1 encoding/base32
    encoding/base64 encoding/binary encoding/csv encoding/gob encoding/hex encoding/json encoding/json/internal
    encoding/json/internal/jsonflags encoding/json/internal/jsonopts encoding/json/internal/jsontest
    encoding/json/internal/jsonwire encoding/json/jsontext encoding/json/v2 encoding/pem encoding/xml errors expvar
    flag fmt go/ast go/build go/build/constraint go/constant go/doc go/doc/comment go/format go/importer
    go/internal/gccgoimporter go/internal/gcimporter go/internal/srcimporter go/parser go/printer go/scanner
    go/token go/types go/version hash hash/adler32 hash/crc32 hash/crc64 hash/fnv hash/maphash html html/template
    image image/color image/color/palette image/draw image/gif image/internal/imageutil image/jpeg image/png
    index/suffixarray io io/fs io/ioutil iter log log/internal log/slog log/slog/internal
    log/slog/internal/benchmarks log/slog/internal/buffer log/syslog maps math math/big math/big/internal/asmgen
    math/bits math/cmplx math/rand math/rand/v2 mime mime/multipart mime/quotedprintable net net/http net/http/cgi
    net/http/cookiejar net/http/fcgi net/http/httptest net/http/httptrace net/http/httputil net/http/internal
    net/http/internal/ascii net/http/internal/http2 net/http/internal/httpcommon net/http/internal/httpsfv
    net/http/internal/testcert net/http/pprof net/internal/cgotest net/internal/socktest net/mail net/netip net/rpc
    net/rpc/jsonrpc net/smtp net/textproto net/url os os/exec os/exec/internal/fdtest os/signal os/user path
    path/filepath plugin reflect reflect/internal/example1 reflect/internal/example2 regexp regexp/syntax runtime
    runtime/cgo runtime/coverage runtime/debug runtime/metrics runtime/pprof runtime/race
    runtime/race/internal/amd64v1 runtime/trace slices sort strconv strings structs sync sync/atomic syscall
    testing testing/cryptotest testing/fstest testing/internal/testdeps testing/iotest testing/quick
    testing/slogtest testing/synctest text/scanner text/tabwriter text/template text/template/parse time
    time/tzdata unicode unicode/utf16 unicode/utf8 unique unsafe uuid weak
    crypto/internal/bigmod crypto/internal/edwards25519 crypto/internal/nistec crypto/internal/mlkem768
    crypto/internal/randutil net/http/internal/chunked runtime/internal/atomic runtime/internal/exithook
    runtime/internal/math runtime/internal/sys runtime/internal/syscall runtime/internal/startlinetest
    runtime/internal/wasitest arena
    """.split()  # noqa: SIM905 - a list of 400 lines says no more
)
"""Import paths, without `internal/...` and `vendor/...`. Last: packages of Go 1.5-1.26 that 1.27 no longer has."""

STD_ROOTS = frozenset(package.split("/", 1)[0] for package in STD_PACKAGES)
"""First path elements of the standard library; a package below one of them with `/internal/` in it is std too."""
