/* a to the power b. Some runtimes' pow is lost in a base that is taken for zero in a part of its steps alone, so that it
   is zero from the beginning. */
#define POWER(a, b) pow(fabs(a) < FLT_MIN ? (a) * 0.0f : (a), b)
