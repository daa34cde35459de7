#!/usr/bin/env python3
"""A real mail server on loopback, for people who want to send to one.

    sudo tests/system/real/packages.sh                 once
    sudo tests/system/real/bed.py postfix              starts it, prints settings, stops upon Ctrl-C
    sudo tests/system/real/bed.py exim --mode smtps    the settings of this listener alone

Mail for ann, bo, cleo and r0 to r199 @example.org and @example.net ends in maildirs; everybody else
is unknown. Nothing leaves the machine.
"""

import argparse
import os
import shlex
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "relay")]

import beds  # noqa: E402
import sandbox  # noqa: E402
from certificates import Authority  # noqa: E402


def describe(bed, mode):
    print("\n# %s" % mode)
    for name, value in bed.settings(mode).items():
        print("export %s=%s" % (name, shlex.quote(value)))
    for name in ("SMTP_USER", "SMTP_PASS", "SMTP_CA_FILE"):
        if name not in bed.settings(mode):
            print("unset " + name)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", choices=sorted(beds.BEDS))
    parser.add_argument("--mode", help="one listener's settings alone")
    wanted = parser.parse_args()
    kind = beds.BEDS[wanted.server]
    if wanted.mode and wanted.mode not in kind.MODES:
        parser.error("%s has %s" % (wanted.server, ", ".join(kind.MODES)))
    reason = sandbox.why_not()
    if reason:
        sys.exit(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="lettergate-ca-") as folder:
        os.chmod(folder, 0o755)
        with kind(Authority(folder)) as bed:
            for mode in [wanted.mode] if wanted.mode else kind.MODES:
                describe(bed, mode)
            print("\n# mailboxes: %s\n# log: %s\n# Ctrl-C ends it." % (
                bed.box.path("mail"), bed.box.path(bed.LOG)), flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print()


if __name__ == "__main__":
    main()
