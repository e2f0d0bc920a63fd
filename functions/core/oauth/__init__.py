"""The rules of our authorization server, pure: what was looked up goes in, what is to be answered and written comes out.

Why they are our own and no library's: infra/decisions/0013. The endpoints around them are functions/auth.py.
"""
