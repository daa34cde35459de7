"""Real mail servers on loopback, each in a sandbox of its own: Postfix (with Dovecot for SASL),
Exim and OpenSMTPD.

    with Postfix(authority) as bed:
        port = bed.ports["submission"]
        ... bed.settings("submission") are the gateway's settings for it ...
        message = bed.read("ann@example.org", message_id)

Every bed takes mail for NAMES at DOMAINS into maildirs, and refuses everybody else. None sends
mail anywhere. What a mode (a listener) does is in each class's MODES.
"""

import email
import email.policy
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import time

from sandbox import Sandbox

USER, PASSWORD = "app", "pass=word \u00fc"
ASCII_USER, ASCII_PASSWORD = "robot", "pass=word ,x"     # Postfix alone
DOMAINS = ("example.org", "example.net")
NAMES = ["ann", "bo", "cleo"] + ["r%d" % number for number in range(200)]
NON_ASCII = "j\u00f6rg"
SIZE_LIMIT = 20 * 1024 * 1024
PATIENCE = 30.0


def free_ports(count):
    """Ports that are free now; all are held until all are found."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def wait_for(predicate, seconds=PATIENCE, step=0.02):
    end = time.monotonic() + seconds
    while True:
        found = predicate()
        if found or time.monotonic() > end:
            return found
        time.sleep(step)


class Bed:
    """What the three have in common: ports, certificates, mailboxes, the log."""

    NAME = ""
    MODES = {}      # mode -> SMTP_SECURE
    AUTH = ()       # modes that ask for a user and password
    LOG = "log/mail.log"
    CONNECTED = r"smtpd\[\d+\]: connect from "

    def __init__(self, authority):
        self.authority = authority
        self.box = Sandbox()
        self.ports = dict(zip(self.MODES, free_ports(len(self.MODES))))
        self.seen = {}
        try:
            self.configure()
            self.start()
        except BaseException:
            print(self.log(), self.output())
            self.close()
            raise

    def configure(self):
        raise NotImplementedError

    def commands(self):
        raise NotImplementedError

    def certificate(self, label, *names, **more):
        """Makes a certificate and gives the paths of its chain and key, readable inside."""
        made = self.authority.make(*names, **more)
        paths = []
        for kind, path in (("crt", made.cert_file), ("key", made.key_file)):
            inside = self.box.path("%s.%s" % (label, kind))
            shutil.copyfile(path, inside)
            os.chmod(inside, 0o644 if kind == "crt" else 0o600)
            paths.append(inside)
        return paths

    # ---- what a client needs

    def settings(self, mode, **more):
        found = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(self.ports[mode]),
                 "SMTP_SECURE": self.MODES[mode]}
        if self.MODES[mode] != "NONE":
            found["SMTP_CA_FILE"] = self.authority.file
        if mode in self.AUTH:
            found.update(SMTP_USER=USER, SMTP_PASS=PASSWORD)
        return {**found, **more}

    # ---- mailboxes

    def _folder(self, address):
        local, _, domain = address.rpartition("@")
        return os.path.join(self.box.folder, "mail", domain, local, "new")

    def messages(self, address):
        """Every message of a mailbox as bytes, by file name."""
        folder = self._folder(address)
        box = self.seen.setdefault(address, {})
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name not in box:
                with open(os.path.join(folder, name), "rb") as message:
                    box[name] = message.read()
        return list(box.values())

    def copies(self, address, message_id):
        """The copies of one message in a mailbox; there should be one."""
        wanted = message_id.strip().encode()
        return [message for message in self.messages(address)
                if wanted in re.split(rb"\r?\n\r?\n", message, maxsplit=1)[0]]

    def read_bytes(self, address, message_id):
        found = wait_for(lambda: self.copies(address, message_id))
        assert found, "%s never came to %s:\n%s" % (message_id, address, self.log()[-3000:])
        assert len(found) == 1, "%d copies for %s" % (len(found), address)
        return found[0]

    def read(self, address, message_id):
        return email.message_from_bytes(self.read_bytes(address, message_id),
                                        policy=email.policy.SMTP)

    # ---- the log

    def _text(self, name):
        try:
            with open(self.box.path(name), encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def log(self):
        return self._text(self.LOG)

    def output(self):
        return self._text("log/output")

    def wait_log(self, pattern, since=0, seconds=PATIENCE):
        """The first match of a pattern in the log behind a place in it."""
        found = wait_for(lambda: re.search(pattern, self.log()[since:]), seconds)
        assert found, "%r is not in the log:\n%s" % (pattern, self.log()[since:][-4000:])
        return found

    def connections(self, since=0):
        return len(re.findall(self.CONNECTED, self.log()[since:]))

    # ---- life

    def start(self):
        self.box.start(*self.commands())
        for mode in self.MODES:
            self.wait_listening(mode)

    def wait_listening(self, mode):
        def listens():
            try:
                with socket.create_connection(("127.0.0.1", self.ports[mode]), 2) as sock:
                    sock.settimeout(5)
                    # Behind implicit TLS nobody greets before the handshake.
                    return self.MODES[mode] == "TLS" or sock.recv(4) == b"220 "
            except OSError:
                return False
        wait_for(lambda: self.box.ended() or listens())
        assert not self.box.ended() and listens(), \
            "%s does not listen for %s: %s" % (self.NAME, mode, self.output()[-2000:])

    def broken(self, mode):
        """Why a mode cannot work with this version of the server, or None."""
        if self.MODES[mode] == "NONE":
            return None
        context = ssl.create_default_context(cafile=self.authority.file)
        try:
            if self.MODES[mode] == "TLS":
                smtplib.SMTP_SSL("127.0.0.1", self.ports[mode], context=context).quit()
            else:
                with smtplib.SMTP("127.0.0.1", self.ports[mode]) as client:
                    client.starttls(context=context)
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            return "this %s cannot do TLS: %s" % (self.NAME, error)
        return None

    def stop(self):
        """Ends every process at once; start() begins anew, on the same ports."""
        self.box.kill()

        def gone(mode):
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", self.ports[mode])) != 0
        assert wait_for(lambda: all(map(gone, self.MODES)))

    def close(self):
        self.box.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Postfix(Bed):
    NAME = "postfix"
    MODES = {
        "submission": "STARTTLS",   # TLS required, then AUTH required
        "smtps": "TLS",
        "plain": "NONE",            # no AUTH; CHUNKING, PIPELINING, SMTPUTF8, DSN
        "bare": "NONE",             # CHUNKING, PIPELINING and SIZE are not offered
        "strict": "NONE",           # smtpd_forbid_bare_newline = reject; DATA only
        "brief": "NONE",            # hangs up after three seconds of silence
        "wrong_name": "STARTTLS",   # a certificate for other.test
        "expired": "STARTTLS",
        "self_signed": "STARTTLS",
    }
    AUTH = ("submission", "smtps")

    EXTRA = {
        "submission": ["smtpd_tls_security_level=encrypt", "smtpd_sasl_auth_enable=yes",
                       "smtpd_client_restrictions=permit_sasl_authenticated,reject",
                       "smtpd_sender_restrictions=reject_known_sender_login_mismatch"],
        "smtps": ["smtpd_tls_wrappermode=yes", "smtpd_sasl_auth_enable=yes",
                  "smtpd_client_restrictions=permit_sasl_authenticated,reject"],
        "bare": ["smtpd_discard_ehlo_keywords=chunking,pipelining,size"],
        "strict": ["smtpd_forbid_bare_newline=reject", "smtpd_forbid_bare_newline_exclusions=",
                   "smtpd_discard_ehlo_keywords=chunking"],
        "brief": ["smtpd_timeout=3s"],
    }
    MAIN = """\
compatibility_level = 3.6
queue_directory = {box}/queue
data_directory = {box}/data
meta_directory = /etc/postfix
multi_instance_wrapper =
multi_instance_enable = no
multi_instance_directories =
maillog_file = {box}/log/mail.log
maillog_file_prefixes = {box}
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.bed.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
biff = no
in_flow_delay = 0
alias_maps =
alias_database =
local_recipient_maps =
relay_domains =
default_transport = error:5.4.4 nothing leaves this test
message_size_limit = {limit}
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {box}/mail
virtual_mailbox_maps = texthash:{box}/mailboxes
virtual_uid_maps = static:{vmail}
virtual_gid_maps = static:{vmail}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_error_sleep_time = 0
smtpd_sasl_type = dovecot
smtpd_sasl_path = {box}/dovecot/sasl
smtpd_sender_login_maps = regexp:{box}/owners
smtpd_tls_security_level = may
smtpd_tls_chain_files = {box}/good.key, {box}/good.crt
smtpd_tls_loglevel = 1
tls_random_source = dev:/dev/urandom
"""
    SERVICES = """\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
showq unix n - n - - showq
virtual unix - n n - 20 virtual
"""

    def configure(self):
        box = self.box
        self.certificate("good", "127.0.0.1", "localhost")
        self.certificate("wrong_name", "other.test")
        self.certificate("expired", "127.0.0.1", "localhost", days=(-10, -1))
        self.certificate("self_signed", "127.0.0.1", "localhost", self_signed=True)
        os.makedirs(box.path("queue"))
        box.folder_of("data", "postfix")
        box.write("mailboxes", "".join("%s@%s %s/%s/\n" % (name, domain, domain, name)
                                       for name in NAMES + [NON_ASCII] for domain in DOMAINS))
        box.write("owners", "/^boss@example\\.com$/ boss\n")
        box.write("config/main.cf", self.MAIN.format(
            box=box.folder, limit=SIZE_LIMIT, domains=" ".join(DOMAINS), vmail=box.ids["vmail"]))
        box.write("config/master.cf", self.SERVICES + "".join(map(self._listener, self.MODES)))
        self._configure_dovecot()

    def _listener(self, mode):
        extra = list(self.EXTRA.get(mode, ()))
        extra.append("syslog_name=postfix/" + mode)
        if mode in ("wrong_name", "expired", "self_signed"):
            extra.append("smtpd_tls_chain_files=%s,%s" % (self.box.path(mode + ".key"),
                                                          self.box.path(mode + ".crt")))
        return "127.0.0.1:%d inet n - n - - smtpd\n%s" % (
            self.ports[mode], "".join("  -o %s\n" % option for option in extra))

    DOVECOT = """\
base_dir = {box}/dovecot/run
state_dir = {box}/dovecot/state
log_path = {box}/log/dovecot.log
protocols =
ssl = no
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {box}/dovecot/sasl {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
    DOVECOT_23 = """\
disable_plaintext_auth = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {box}/dovecot/users
}}
userdb {{
  driver = static
  args = uid={vmail} gid={vmail} home=/nonexistent
}}
"""
    DOVECOT_24 = """\
auth_allow_cleartext = yes
passdb passwd-file {{
  passwd_file_path = {box}/dovecot/users
  default_password_scheme = PLAIN
}}
userdb static {{
  fields {{
    uid = {vmail}
    gid = {vmail}
    home = /nonexistent
  }}
}}
"""

    def _configure_dovecot(self):
        version = self.box.run("dovecot --version").stdout
        newer = not version.startswith("2.3")
        head = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" if newer else ""
        body = self.DOVECOT + (self.DOVECOT_24 if newer else self.DOVECOT_23)
        self.box.write("dovecot/dovecot.conf", head + body.format(box=self.box.folder,
                                                                  vmail=self.box.ids["vmail"]))
        self.box.write("dovecot/users", "%s:{PLAIN}%s\n%s:{PLAIN}%s\n" % (
            USER, PASSWORD, ASCII_USER, ASCII_PASSWORD), owner="dovecot",
                       mode=0o600)

    def commands(self):
        config = self.box.path("config")
        return (["dovecot", "-F", "-c", self.box.path("dovecot/dovecot.conf")],
                ["postfix", "-c", config, "start-fg"])

    def sessions(self, mode, since=0):
        """The finished sessions of a mode: what each line `disconnect from … ehlo=1 mail=2` counts."""
        found = re.findall(r"postfix/%s/smtpd\[\d+\]: disconnect from \S+ (.*)" % mode,
                           self.log()[since:])
        return [{name: int(count.partition("/")[2] or count)
                 for name, count in (word.split("=") for word in line.split())} for line in found]


class Exim(Bed):
    NAME = "exim"
    MODES = {"submission": "STARTTLS", "smtps": "TLS", "plain": "NONE"}
    AUTH = ("submission", "smtps")
    LOG = "log/mainlog"
    CONNECTED = r"SMTP connection from \S+ \(TCP/IP connection count"
    CONFIG = """\
exim_user = Debian-exim
exim_group = Debian-exim
primary_hostname = mail.bed.test
spool_directory = {box}/exim
log_file_path = {box}/log/%slog
log_selector = +smtp_connection +incoming_port +received_recipients +pid
pid_file_path = {box}/exim.pid
keep_environment =
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {submission} : {smtps} : {plain}
tls_on_connect_ports = {smtps}
tls_advertise_hosts = ${{if eq{{$received_port}}{{{plain}}}{{}}{{*}}}}
tls_certificate = {box}/good.crt
tls_privatekey = {box}/good.key
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
dsn_advertise_hosts = *
{utf8}message_size_limit = {limit}
smtp_accept_max = 200
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_accept_reserve = 0
rfc1413_query_timeout = 0s
host_lookup =
deliver_drop_privilege = true
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
domainlist ours = {domains}

begin acl
check_mail:
  deny condition = ${{if eq{{$received_port}}{{{plain}}}{{no}}{{yes}}}}
       !authenticated = *
       message = authentication required
  accept
check_rcpt:
  require domains = +ours
          message = relay not permitted
  require verify = recipient
  accept

begin routers
mailbox:
  driver = accept
  domains = +ours
  local_parts = lsearch;{box}/mailboxes
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = {box}/mail/$domain_data/$local_part_data
  maildir_format
  create_directory
  directory_mode = 0755
  mode = 0644
  return_path_add
  envelope_to_add

begin retry
* * F,1h,5m

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""

    def configure(self):
        box = self.box
        self.certificate("good", "127.0.0.1", "localhost")
        for name in ("good.key", "good.crt"):
            os.chown(box.path(name), box.ids["Debian-exim"], box.ids["Debian-exim"])
        for name in ("exim", "log", "mail"):
            box.folder_of(name, "Debian-exim")
        box.write("mailboxes", "".join("%s: %s\n" % (name, name) for name in NAMES))
        utf8 = "SMTPUTF8" if "I18N" in box.run("exim4 -C /dev/null -bV").stdout else ""
        box.write("exim.conf", self.CONFIG.format(
            box=box.folder, limit=SIZE_LIMIT, domains=" : ".join(DOMAINS), user=USER,
            password=PASSWORD, utf8="smtputf8_advertise_hosts = *\n" if utf8 else "", **self.ports))

    def commands(self):
        return (["exim4", "-C", self.box.path("exim.conf"), "-bdf", "-q1m"],)


class OpenSMTPD(Bed):
    NAME = "opensmtpd"
    MODES = {"submission": "STARTTLS", "smtps": "TLS", "plain": "NONE"}
    AUTH = ("submission", "smtps")
    LOG = "log/output"
    CONNECTED = r" smtp connected "
    CONFIG = """\
pki bed cert "{box}/good.crt"
pki bed key "{box}/good.key"
table credentials file:{box}/credentials
table mailboxes file:{box}/mailboxes
smtp max-message-size "{limit}"
listen on 127.0.0.1 port {submission} hostname mail.bed.test tls-require pki bed auth <credentials>
listen on 127.0.0.1 port {smtps} hostname mail.bed.test smtps pki bed auth <credentials>
listen on 127.0.0.1 port {plain} hostname mail.bed.test
action "deliver" maildir "{box}/mail/%{{rcpt.domain}}/%{{rcpt.user}}" virtual <mailboxes>
match from any for domain {{ {domains} }} action "deliver"
"""

    def configure(self):
        box = self.box
        # Version 6.8 and OpenSSL 3 cannot do TLS together at all: broken() finds out.
        self.certificate("good", "127.0.0.1", "localhost", key="rsa2048")
        # It will not start without the authorities of the machine, which may have none.
        with open(self.authority.file, encoding="ascii") as own:
            box.write("etc/ssl/certs/ca-certificates.crt", own.read())
        hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True,
                                text=True, check=True).stdout.strip()
        box.write("credentials", "%s\t%s\n" % (USER, hashed))
        box.write("mailboxes", "".join("%s@%s\tvmail\n" % (name, domain) for name in NAMES
                                       for domain in DOMAINS))
        box.write("smtpd.conf", self.CONFIG.format(
            box=box.folder, limit=SIZE_LIMIT, domains=", ".join('"%s"' % d for d in DOMAINS),
            **self.ports))
        os.chmod(box.path("spool"), 0o711)
        for domain in DOMAINS:
            box.folder_of("mail/" + domain, "vmail")

    def commands(self):
        return (["smtpd", "-d", "-f", self.box.path("smtpd.conf")],)


BEDS = {kind.NAME: kind for kind in (Postfix, Exim, OpenSMTPD)}
