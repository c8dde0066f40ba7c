"""What a plan needs, looked at before anything is created. Each check yields what is wrong.

A sentence names the field, its value, why it cannot be used and what to do about it. A missing permission is no answer:
it is raised. Nothing is changed here, and no call is made whose answer cannot matter.
"""
