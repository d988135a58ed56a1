# The two commands: `make run` and `make test`. The rest is for developers; CONTRIBUTING.md says when.

CARGO ?= cargo
PYTHON ?= python3
REDIS = --locked -p prepx-cache --features redis-tests
REDIS_TESTS = $(CARGO) test $(REDIS) --test it -- redis::
MEMCACHED_TESTS = $(CARGO) test $(REDIS) --test it -- memcached::

.PHONY: run dev test test-kafka test-redis test-postgres test-s3 test-mesh binaries debug-binaries cluster cluster-build cluster-down \
	chaos chaos-alone images test-images image-root dependencies lint fmt soak bench preflight preflight-kafka preflight-test

## Build and start PrepX: data in ./prepx-data, one port, a live simulated market.
run: preflight
	$(CARGO) run --release --locked --bin prepx -- start

## The loop of development without a cluster: builds, starts, and on a change of a source does both again. Ctrl-C ends it.
DEV_DATA ?= prepx-data-dev
dev: preflight
	@tools/dev.py --build "$(CARGO) build --locked --bin prepx" \
		--run "$(or $(CARGO_TARGET_DIR),target)/debug/prepx start --dev --data-dir $(DEV_DATA)" libs services proto Cargo.toml Cargo.lock

# Faults under load at `prepx start` with engines of its own, which needs no server. So many rounds meet each fault once, that of
# the clock where libfaketime is.
CHAOS_ALONE_ROUNDS ?= 9
CHAOS_ALONE = PREPX_CLUSTER=$(CURDIR)/target/chaos/alone tests/cluster/cluster.py run --embedded --links --clocks found \
	--binaries $(or $(CARGO_TARGET_DIR),target)/debug -- tests/chaos/chaos.py --seconds-max 3 \
	--history $(CURDIR)/target/chaos/alone.jsonl --rounds

## Everything that CI runs. The client tests and the short chaos use the program that the process tests have built.
test: preflight-test lint
	$(CARGO) test --workspace --locked
	$(PYTHON) -m unittest discover tests/chaos
	$(PYTHON) -m unittest discover bench/capacity
	$(PYTHON) -m unittest discover tests/tools
	tests/k8s/run
	tests/terraform/run
	tests/clients/run
	$(CHAOS_ALONE) $(CHAOS_ALONE_ROUNDS)

## The event log, the stages and all of prepx on a real Apache Kafka: CONTRIBUTING.md says what it needs.
KAFKA_CRATES = -p prepx-bus -p prepx-stage -p prepx-owner
KAFKA_FEATURES = prepx-bus/kafka,prepx-stage/kafka,prepx-owner/kafka
KAFKA_TESTS = test --locked $(KAFKA_CRATES) --features $(KAFKA_FEATURES)
test-kafka: preflight-test preflight-kafka
	$(CARGO) clippy --locked $(KAFKA_CRATES) -p prepx-standalone --all-targets \
		--features $(KAFKA_FEATURES),prepx-standalone/kafka -- -D warnings
	$(CARGO) clippy --locked --features kafka --bins -- -D warnings
	$(CARGO) $(KAFKA_TESTS) --no-run
	tests/servers/kafka.py run -- $(CARGO) $(KAFKA_TESTS) -- --skip tls::
	tests/servers/kafka.py run --nodes 3 -- $(CARGO) $(KAFKA_TESTS) --test it kafka -- --skip tls::
	tests/servers/kafka.py run --tls -- $(CARGO) $(KAFKA_TESTS) --test it kafka -- --skip takeover_ends_the_open
	tests/servers/kafka.py run -- $(CARGO) test --locked -p prepx-standalone --features kafka --test it kafka
	$(CARGO) build --locked --features prepx-standalone/kafka --bin prepx
	tests/servers/kafka.py run --metrics k8s/components/kafka/metrics.yml -- tests/clients/run

## The cache on a real Redis, single and cluster, and with Memcached behind it: CONTRIBUTING.md says what it needs.
test-redis: preflight-test
	$(CARGO) clippy $(REDIS) --all-targets -- -D warnings
	$(CARGO) test $(REDIS) --no-run
	tests/servers/redis.py run -- $(REDIS_TESTS) --skip failover --skip tls::
	tests/servers/redis.py run --tls -- $(REDIS_TESTS) --skip failover
	tests/servers/redis.py run --cluster -- $(REDIS_TESTS) --skip away --skip failover --skip tls::
	tests/servers/redis.py run --cluster --tls -- $(REDIS_TESTS) --skip away --skip failover
	tests/servers/redis.py run --cluster -- $(REDIS_TESTS)failover
	tests/servers/redis.py run -- tests/servers/memcached.py run -- $(MEMCACHED_TESTS)
	tests/servers/redis.py run --cluster -- tests/servers/memcached.py run --nodes 2 -- \
		$(MEMCACHED_TESTS) --skip without_redis
	$(CARGO) build --locked --bin prepx
	tests/servers/redis.py run --exporter -- tests/clients/run -k observability

## Every store on a real PostgreSQL, direct and through PgBouncer, with a replica, and when that is promoted:
## CONTRIBUTING.md says what it needs. By TLS the suite alone: a password costs a connection thousands of hashes, which without
## optimisation take longer than the tests of waiting wait.
STORES = -p prepx-store -p prepx-analytics -p prepx-market-data -p prepx-notification -p prepx-portfolio -p prepx-user \
	--features prepx-store/postgres-tests
STORE_TESTS = $(CARGO) test --locked $(STORES) --lib --tests --
test-postgres: preflight
	$(CARGO) clippy --locked $(STORES) --all-targets -- -D warnings
	$(CARGO) test --locked $(STORES) --lib --tests --no-run
	tests/servers/postgres.py run -- $(STORE_TESTS) --skip replicas:: --skip tls::
	tests/servers/postgres.py run --bouncer -- $(STORE_TESTS) --skip replicas:: --skip tls::
	tests/servers/postgres.py run --replicas 1 --lag 200 -- $(STORE_TESTS) --skip promotion --skip tls::
	tests/servers/postgres.py run --tls -- $(STORE_TESTS) pg::pg_keeps tls::
	tests/servers/postgres.py run --tls --bouncer -- $(STORE_TESTS) pg::pg_keeps
	tests/servers/postgres.py run --replicas 1 --bouncer -- $(STORE_TESTS) replicas:: --skip promotion
	tests/servers/postgres.py run --replicas 1 -- $(STORE_TESTS) promotion
	tests/servers/postgres.py run --replicas 1 --bouncer -- $(STORE_TESTS) promotion
	$(CARGO) build --locked --bin prepx
	tests/servers/postgres.py run --replicas 1 -- tests/clients/run -k observability

## Object storage on a server that speaks S3: CONTRIBUTING.md says what it needs.
OBJECTS = --locked -p prepx-objects --features s3-tests
test-s3: preflight-test
	$(CARGO) clippy $(OBJECTS) --all-targets -- -D warnings
	$(CARGO) test $(OBJECTS) --no-run
	tests/servers/s3.py run -- $(CARGO) test $(OBJECTS)

## The files of istio/ in a real istiod, before real Envoys and real processes; those of k8s/ on a real node, with Argo Rollouts:
## CONTRIBUTING.md says what it needs.
test-mesh: preflight-test binaries
	tests/mesh/run
	tests/node/run

# Every service as a program of its own, and `prepx` to operate them.
OWN = user trading risk portfolio market-data analytics notification
comma := ,
space := $(subst ,, )
PROGRAMS = -p prepx-standalone -p prepx-gateway $(OWN:%=-p prepx-%) \
	--features $(subst $(space),$(comma),$(patsubst %,prepx-%/kafka,standalone $(OWN)))
BINARIES = $(or $(CARGO_TARGET_DIR),target)/release
binaries: preflight preflight-kafka
	$(CARGO) build --release --locked $(PROGRAMS) --bins
cluster-build: preflight-test binaries

# The same for development, which builds quickly; the Tiltfile calls it.
debug-binaries: preflight preflight-kafka
	$(CARGO) build --locked $(PROGRAMS) --bins

## The images of all programs, in files for any engine, made without one: CONTRIBUTING.md says more.
IMAGES = .images
IMAGE_ROOT = $(IMAGES)/root
images: image-root
	images/build $(IMAGE_ROOT) $(IMAGES)

## The images looked into and run by a real container engine; needs root, and says when it cannot.
test-images: images
	tests/images/test_images.py $(IMAGES)

# What images are made of; the Dockerfile calls it too, by images/reproducibly.
image-root: binaries
	rm -rf $(IMAGE_ROOT)
	images/collect $(BINARIES) $(IMAGE_ROOT) prepx prepx-gateway $(OWN:%=prepx-%)
	images/sbom $(IMAGE_ROOT) $(PROGRAMS)

# A layer of the Dockerfile: what the programs stand on, without them.
dependencies:
	$(CARGO) chef cook --release --locked $(PROGRAMS)

## The whole platform on this machine: servers and two processes of each service; CONTRIBUTING.md says what it needs.
cluster: cluster-build
	tests/cluster/cluster.py up --lasting --binaries $(BINARIES)

## Ends what `make cluster` has started, and nothing else.
cluster-down:
	tests/cluster/cluster.py down

## Faults under load in a cluster of its own, judged by what came of them.
CHAOS_ROUNDS ?= 3
chaos: cluster-build
	$(PYTHON) -W ignore -m unittest discover tests/cluster
	tests/cluster/cluster.py run --links --clocks --binaries $(BINARIES) -- tests/chaos/chaos.py --rounds $(CHAOS_ROUNDS)

## The same at one process that needs no server, as `make test` has it.
chaos-alone: preflight-test
	$(CARGO) build --locked --bin prepx
	$(CHAOS_ALONE) $(CHAOS_ALONE_ROUNDS)

## Formatting and lints, warnings as errors.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

## Format in place.
fmt:
	$(CARGO) fmt --all

## The long rounds of what `make test` does briefly: run before a release.
soak: preflight-test
	$(CARGO) test --workspace --locked --no-run
	PREPX_SEEDS=100000 $(CARGO) test --workspace --locked --test simulation
	CRASH_ROUNDS=200 tests/clients/run -k crash
	$(CHAOS_ALONE) 100
	$(MAKE) chaos CHAOS_ROUNDS=200

## Benchmarks against the peers, in one run; fills the table of bench/README.md.
bench: preflight
	bench/run

# A compiler without the C library's headers or a Python without venv is met on bare machines: both are tried.
preflight:
	@command -v $(CARGO) >/dev/null || { echo "PrepX needs the Rust toolchain (1.95 or newer): https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "PrepX needs a C compiler: apt-get install gcc" >&2; exit 1; }
	@echo 'int main(void) { return 0; }' | cc -x c -include stdlib.h -o /dev/null - 2>/dev/null \
		|| { echo "cc cannot build a program; PrepX needs the C library too: apt-get install libc6-dev" >&2; exit 1; }

# librdkafka links the system's OpenSSL, for TLS to brokers.
preflight-kafka:
	@echo 'int main(void) { return 0; }' | cc -x c -include openssl/ssl.h -o /dev/null - -lssl -lcrypto 2>/dev/null \
		|| { echo "Kafka's client needs OpenSSL: apt-get install pkg-config libssl-dev" >&2; exit 1; }

preflight-test: preflight
	@command -v $(PYTHON) >/dev/null || { echo "the tests of PrepX need Python 3: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "the client tests need Python's venv module: apt-get install python3-venv" >&2; exit 1; }
