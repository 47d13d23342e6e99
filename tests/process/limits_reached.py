"""Starts threads until the system starts no more, and prints which limit that was."""

import threading

from aliaport.process.limits import limit_error

try:
    while True:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
except RuntimeError as error:
    print(limit_error(error))
