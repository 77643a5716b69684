"""
What is good on this host, what is not, and what to do: ``tunegate-agent doctor``.

Pure judging (``judge_*``) over the frozen values of ``facts``; ``reading`` alone touches the host,
reads only, and is imported by the command alone.
"""
