/* What is stored of a value where an activation that only bounds it follows: `least` where it is below that, then `most`
   where it is above that, and NaN where it is NaN. -INFINITY and INFINITY leave it as it is. The value is named several
   times. */
#define RAISED(type, value, least) ((value) <= (least) ? (type)(least) : (value))
#define LOWERED(type, value, most) ((value) >= (most) ? (type)(most) : (value))
#define LIMITED(type, value, least, most) LOWERED(type, RAISED(type, value, least), most)
