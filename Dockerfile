# The image holds the gateway, the libraries it is linked with, and the CA certificates.
#
#     docker build -t lettergate .
#     docker run --read-only -p 8080:8080 -e API_KEY=… -e SMTP_HOST=… -e SMTP_USER=… -e SMTP_PASS=… lettergate
#
# It keeps nothing on disk, needs no capability, and listens on port 8080.
ARG BASE=docker.io/library/debian:13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY deploy/packages-build.txt deploy/packages.sh deploy/
RUN deploy/packages.sh deploy/packages-build.txt
COPY . .
RUN cmake --preset release -DLETTERGATE_TESTS=OFF && \
	cmake --build build/release --target lettergate && \
	install -D -s build/release/service/lettergate /out/lettergate
# The packages that hold the libraries, read from the binary: no list that can grow old.
RUN ldd /out/lettergate | awk '$3 ~ /^\// { print "*/" $1 }' | xargs dpkg -S | \
	sed 's/:.*//' | sort -u > /out/packages

FROM ${BASE}
COPY --from=build /out/packages /tmp/packages
RUN apt-get -qq update && \
	DEBIAN_FRONTEND=noninteractive xargs apt-get -qq install -y --no-install-recommends \
		ca-certificates < /tmp/packages && \
	rm -rf /tmp/packages /var/lib/apt/lists/* /var/cache/apt/* /var/log/* && \
	useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin lettergate
COPY --from=build /out/lettergate /usr/local/bin/lettergate
ENV HTTP_LISTEN=0.0.0.0:8080
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=2s --retries=3 \
	CMD ["/usr/local/bin/lettergate", "health"]
ENTRYPOINT ["/usr/local/bin/lettergate"]
CMD ["serve"]
